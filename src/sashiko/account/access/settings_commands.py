"""Commands that change an account's data-lake settings; the API only replaces all at once."""

import json
import shlex
from collections.abc import Iterable
from typing import Any

_CALL = "aws lakeformation"
_PRINCIPALS = {"ExternalDataFilteringAllowList", "ReadOnlyAdmins"}


def change_settings(**members: str) -> str:
    """Returns the command that changes some members and leaves the others as they are.

    `members` has the API's name of a member -> its new value, as JMESPath on the old settings.
    """
    changed = ", ".join(f"{name}: {value}" for name, value in members.items())
    query = shlex.quote(f"DataLakeSettings | merge(@, {{{changed}}})")
    return (
        f"{_CALL} get-data-lake-settings --output json --query {query} > settings.json && "
        f"{_CALL} put-data-lake-settings --data-lake-settings file://settings.json"
    )


def add_administrator(arn: str) -> str:
    """Returns the command that adds an administrator of the lake."""
    return _add("DataLakeAdmins", arn)


def add_reader(arn: str) -> str:
    """Returns the command that adds a read-only administrator of the lake."""
    return _add("ReadOnlyAdmins", arn)


def drop_administrators(arns: Iterable[str]) -> str:
    """Returns the command that removes administrators of the lake."""
    removed = f"contains({_literal(sorted(arns))}, DataLakePrincipalIdentifier)"
    return change_settings(DataLakeAdmins=f"DataLakeAdmins[?!{removed}]")


def put_defaults(*kinds: str, principals: Iterable[str] = ()) -> str:
    """Returns the command that sets default permissions on a new `Database` or `Table`."""
    everything = [
        {"Principal": _principal(name), "Permissions": ["ALL"]} for name in sorted(principals)
    ]
    names = [f"Create{kind}DefaultPermissions" for kind in kinds]
    return change_settings(**dict.fromkeys(names, _literal(everything)))


def put_member(name: str, items: Iterable[str]) -> str:
    """Returns the command that sets another member, from its form in `LakeSettings.others`."""
    values = sorted(items)
    value: Any = values
    if name.startswith("Allow"):
        value = bool(values)
    elif name == "Parameters":
        value = dict(item.split("=", 1) for item in values)
    elif name in _PRINCIPALS:
        value = [_principal(item) for item in values]
    return change_settings(**{name: _literal(value)})


def _add(member: str, arn: str) -> str:
    return change_settings(
        **{member: f"[not_null({member}, `[]`), {_literal([_principal(arn)])}][]"}
    )


def _principal(arn: str) -> dict[str, str]:
    return {"DataLakePrincipalIdentifier": arn}


def _literal(value: Any) -> str:
    return f"`{json.dumps(value)}`"
