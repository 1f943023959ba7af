"""Compares an account with the templates: the drift that CloudFormation does not see.

Lake Formation's types have no drift detection, and a deploy changes nothing that a template has not
changed: so each difference comes with the call that removes it.
"""

import json
import re
from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass
from typing import Any, Literal

from sashiko.aws.environment import Environment
from sashiko.aws.governance import Governance, Grant
from sashiko.aws.governance_json import edit_settings, filter_json, securable_json

Kind = Literal["missing", "extra", "differs"]
# Lake Formation gives whoever creates a database, a table or an LF-Tag every right on it.
_CREATOR = re.compile(r":role/cdk-[a-z0-9]+-cfn-exec-role-")


@dataclass(frozen=True, kw_only=True)
class Difference:
    """Something that the account has not as the templates have it.

    Attributes:
        kind: missing in the account, extra in it, or not the same.
        resource: what it is about, in words.
        detail: what is expected and what was found; empty if `resource` says it all.
        fix: what to do.
    """

    kind: Kind
    resource: str
    detail: str
    fix: str


def compare(environment: Environment, live: Governance) -> tuple[Difference, ...]:
    """Returns every difference between the templates and the account."""
    expected = environment.governance
    return (
        *_settings(expected, live),
        *_tags(expected, live),
        *_databases(expected, live),
        *_tables(expected, live),
        *_assigned(environment, live),
        *_locations(expected, live),
        *_filters(environment, live),
        *_grants(environment, live),
    )


def _settings(expected: Governance, live: Governance) -> Iterator[Difference]:
    """Others' administrators stay out: the templates add to the list and never own it."""
    if expected.settings is None or live.settings is None:
        return
    for admin in sorted(expected.settings.admins - live.settings.admins):
        yield Difference(
            kind="missing",
            resource=f"data-lake administrator {admin}",
            detail="",
            fix=edit_settings(
                f'add {{"DataLakePrincipalIdentifier": "{admin}"}} to DataLakeAdmins'
            ),
        )
    for what, wanted, found in (
        ("databases", expected.settings.database_defaults, live.settings.database_defaults),
        ("tables", expected.settings.table_defaults, live.settings.table_defaults),
    ):
        if wanted != found:
            yield Difference(
                kind="differs",
                resource=f"default permissions of new {what}",
                detail=f"expected {_listed(wanted)}, found {_listed(found)}",
                fix=edit_settings(f"correct the default permissions of new {what}"),
            )


def _tags(expected: Governance, live: Governance) -> Iterator[Difference]:
    if not expected.tags:  # another environment of the account makes them
        return
    for key in sorted(expected.tags.keys() | live.tags.keys()):
        wanted, found = expected.tags.get(key, frozenset()), live.tags.get(key, frozenset())
        call = f"aws lakeformation update-lf-tag --tag-key {key}"
        if not found:
            values = " ".join(sorted(wanted))
            fix = f"aws lakeformation create-lf-tag --tag-key {key} --tag-values {values}"
            yield Difference(kind="missing", resource=f"LF-Tag {key}", detail="", fix=fix)
        elif not wanted:
            fix = f"aws lakeformation delete-lf-tag --tag-key {key}"
            yield Difference(kind="extra", resource=f"LF-Tag {key}", detail="", fix=fix)
        elif wanted != found:
            add, drop = sorted(wanted - found), sorted(found - wanted)
            yield Difference(
                kind="differs",
                resource=f"LF-Tag {key}",
                detail=f"expected {_listed(wanted)}, found {_listed(found)}",
                fix=call
                + (f" --tag-values-to-add {' '.join(add)}" if add else "")
                + (f" --tag-values-to-delete {' '.join(drop)}" if drop else ""),
            )


def _databases(expected: Governance, live: Governance) -> Iterator[Difference]:
    for name, wanted in expected.databases.items():
        if name not in live.databases:
            fix = "deploy the DataLake stack; where it says no change, destroy and deploy it"
            yield Difference(kind="missing", resource=f"database {name}", detail="", fix=fix)
        elif wanted is not None and wanted != live.databases[name]:
            yield Difference(
                kind="differs",
                resource=f"default permissions of new tables in {name}",
                detail=f"expected {_listed(wanted)}, found {_listed(live.databases[name] or ())}",
                fix=f"aws glue update-database --name {name}, with the expected permissions",
            )


def _tables(expected: Governance, live: Governance) -> Iterator[Difference]:
    for name in sorted(expected.tables.keys() | live.tables.keys()):
        title = ".".join(name)
        if name not in live.tables:
            fix = "deploy the DataLake stack; where it says no change, destroy and deploy it"
            yield Difference(kind="missing", resource=f"table {title}", detail="", fix=fix)
        elif name not in expected.tables:
            fix = "write a contract for it, or: aws glue delete-table --database-name "
            fix += f"{name[0]} --name {name[1]}"
            yield Difference(kind="extra", resource=f"table {title}", detail="", fix=fix)
        else:
            yield from _columns(title, expected.tables[name], live.tables[name])


def _columns(
    table: str, expected: Mapping[str, str], live: Mapping[str, str]
) -> Iterator[Difference]:
    fix = f"aws glue update-table of {table}, or change the contract and deploy"
    for column in dict.fromkeys([*expected, *live]):
        resource = f"column {table}.{column}"
        wanted, found = expected.get(column), live.get(column)
        if found is None:
            yield Difference(kind="missing", resource=resource, detail=wanted or "", fix=fix)
        elif wanted is None:
            yield Difference(kind="extra", resource=resource, detail=found, fix=fix)
        elif wanted != found:
            detail = f"expected {wanted}, found {found}"
            yield Difference(kind="differs", resource=resource, detail=detail, fix=fix)


def _locations(expected: Governance, live: Governance) -> Iterator[Difference]:
    for arn in sorted(expected.locations.keys() | live.locations.keys()):
        wanted, found = expected.locations.get(arn), live.locations.get(arn)
        resource = f"registered location {arn}"
        call = f"--resource-arn {arn} --role-arn {wanted}"
        if found is None:
            fix = f"aws lakeformation register-resource {call}"
            yield Difference(kind="missing", resource=resource, detail="", fix=fix)
        elif wanted is None:
            fix = f"aws lakeformation deregister-resource --resource-arn {arn}"
            yield Difference(kind="extra", resource=resource, detail="", fix=fix)
        elif wanted != found:
            detail = f"expected the role {wanted}, found {found}"
            fix = f"aws lakeformation update-resource {call}"
            yield Difference(kind="differs", resource=resource, detail=detail, fix=fix)


def _assigned(environment: Environment, live: Governance) -> Iterator[Difference]:
    expected = environment.governance
    for target in sorted(expected.assigned.keys() | live.assigned.keys()):
        wanted, found = expected.assigned.get(target, {}), live.assigned.get(target, {})
        place = json.dumps(_target_json(target))
        for key in sorted(wanted.keys() | found.keys()):
            if wanted.get(key) == found.get(key):
                continue
            tag = json.dumps([{"TagKey": key, "TagValues": [wanted.get(key) or found[key]]}])
            call = "add-lf-tags-to-resource" if key in wanted else "remove-lf-tags-from-resource"
            yield Difference(
                kind="extra" if key not in wanted else "missing" if key not in found else "differs",
                resource=f"LF-Tag {key} on {target}",
                detail=f"expected {wanted.get(key, 'none')}, found {found.get(key, 'none')}",
                fix=f"aws lakeformation {call} --resource '{place}' --lf-tags '{tag}'",
            )


def _target_json(target: Any) -> Mapping[str, Any]:
    if not target.table:
        return {"Database": {"Name": target.database}}
    place = {"DatabaseName": target.database, "Name": target.table}
    if not target.column:
        return {"Table": place}
    return {"TableWithColumns": place | {"ColumnNames": [target.column]}}


def _filters(environment: Environment, live: Governance) -> Iterator[Difference]:
    expected, account = environment.governance, environment.templates.account
    for key in sorted(expected.filters.keys() | live.filters.keys()):
        wanted, found = expected.filters.get(key), live.filters.get(key)
        if wanted == found:
            continue
        resource = f"data-cells filter {'.'.join(key)}"
        if wanted is None:
            name = f"--table-catalog-id {account} --database-name {key[0]} --table-name {key[1]}"
            fix = f"aws lakeformation delete-data-cells-filter {name} --name {key[2]}"
            yield Difference(kind="extra", resource=resource, detail="", fix=fix)
            continue
        data = json.dumps(filter_json(key, wanted, account=account))
        call = "create" if found is None else "update"
        yield Difference(
            kind="missing" if found is None else "differs",
            resource=resource,
            detail=f"expected {wanted}, found {found or 'none'}",
            fix=f"aws lakeformation {call}-data-cells-filter --table-data '{data}'",
        )


def _grants(environment: Environment, live: Governance) -> Iterator[Difference]:
    expected, account = environment.governance.grants, environment.templates.account
    for grant in _sorted(expected - live.grants):
        fix = _grant_call("grant", grant, account)
        yield Difference(kind="missing", resource=_title(grant), detail="", fix=fix)
    for grant in _sorted(live.grants - expected):
        if _CREATOR.search(grant.principal) and grant.securable.kind != "DataLocation":
            continue
        fix = _grant_call("revoke", grant, account)
        yield Difference(kind="extra", resource=_title(grant), detail="", fix=fix)


def _title(grant: Grant) -> str:
    passing = ", which it may pass on" if grant.grantable else ""
    when = f" if {grant.condition}" if grant.condition else ""
    return f"grant of {grant.permission} on {grant.securable} to {grant.principal}{passing}{when}"


def _grant_call(verb: str, grant: Grant, account: str) -> str:
    resource = json.dumps(securable_json(grant.securable, account=account))
    option = f" --permissions-with-grant-option {grant.permission}" if grant.grantable else ""
    return (
        f"aws lakeformation {verb}-permissions --principal "
        f"DataLakePrincipalIdentifier={grant.principal} --permissions {grant.permission}{option} "
        f"--resource '{resource}'"
    )


def _sorted(found: Set[Grant]) -> list[Grant]:
    return sorted(found, key=_title)


def _listed(values: Any) -> str:
    return ", ".join(sorted(values)) or "none"
