"""Commands that change an account's data-lake settings, of which the API only puts all at once."""

import json
import shlex
from collections.abc import Iterable
from typing import Any

_CALL = "aws lakeformation"
_PRINCIPALS = {"ExternalDataFilteringAllowList", "ReadOnlyAdmins"}


def change_settings(**members: str) -> str:
    """Returns the command that changes some members and leaves the others as they are.

    Args:
        members: the member, as the API calls it -> its new value, by JMESPath from the old ones.
    """
    changed = ", ".join(f"{name}: {value}" for name, value in members.items())
    query = shlex.quote(f"DataLakeSettings | merge(@, {{{changed}}})")
    return (
        f"{_CALL} get-data-lake-settings --output json --query {query} > settings.json && "
        f"{_CALL} put-data-lake-settings --data-lake-settings file://settings.json"
    )


def add_administrator(arn: str) -> str:
    """Returns the command that makes somebody an administrator of the lake."""
    one = _literal([_principal(arn)])
    return change_settings(DataLakeAdmins=f"[not_null(DataLakeAdmins, `[]`), {one}][]")


def drop_administrators(arns: Iterable[str]) -> str:
    """Returns the command after which some are no administrators of the lake any more."""
    gone = f"contains({_literal(sorted(arns))}, DataLakePrincipalIdentifier)"
    return change_settings(DataLakeAdmins=f"DataLakeAdmins[?!{gone}]")


def put_defaults(*kinds: str, principals: Iterable[str] = ()) -> str:
    """Returns the command that says who gets all on what is new: a `Database`, a `Table`."""
    everything = [
        {"Principal": _principal(name), "Permissions": ["ALL"]} for name in sorted(principals)
    ]
    names = [f"Create{kind}DefaultPermissions" for kind in kinds]
    return change_settings(**dict.fromkeys(names, _literal(everything)))


def put_member(name: str, words: Iterable[str]) -> str:
    """Returns the command that puts another member, from the form in which `others` has it."""
    values = sorted(words)
    value: Any = values
    if name.startswith("Allow"):
        value = bool(values)
    elif name == "Parameters":
        value = dict(item.split("=", 1) for item in values)
    elif name in _PRINCIPALS:
        value = [_principal(item) for item in values]
    return change_settings(**{name: _literal(value)})


def _principal(arn: str) -> dict[str, str]:
    return {"DataLakePrincipalIdentifier": arn}


def _literal(value: Any) -> str:
    return f"`{json.dumps(value)}`"
