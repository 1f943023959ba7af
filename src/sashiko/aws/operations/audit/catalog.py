"""Differences of the catalog: databases, tables, registered locations, and LF-Tags on them."""

import json
import shlex
from collections.abc import Iterator, Mapping
from typing import Any

from sashiko.aws.operations.access.environment import Environment
from sashiko.aws.operations.access.governance import Governance, Location
from sashiko.aws.operations.audit.difference import Difference, Kind, listed


def catalog(environment: Environment, live: Governance) -> Iterator[Difference]:
    """Yields what the account's catalog has not as the templates have it."""
    expected = environment.governance
    yield from _databases(expected, live)
    yield from _tables(expected, live)
    yield from _assigned(expected, live)
    yield from _locations(expected, live)


def _databases(expected: Governance, live: Governance) -> Iterator[Difference]:
    for name, wanted in expected.databases.items():
        if name not in live.databases:
            fix = "deploy the DataLake stack; where it says no change, destroy and deploy it"
            yield Difference(kind="missing", resource=f"database {name}", detail="", fix=fix)
        elif wanted is not None and wanted != live.databases[name]:
            yield Difference(
                kind="differs",
                resource=f"default permissions of new tables in {name}",
                detail=f"expected {listed(wanted)}, found {listed(live.databases[name] or ())}",
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
        if wanted == found:
            continue
        kind: Kind = "differs"
        if wanted is None:
            kind, call = "extra", f"deregister-resource --resource-arn {arn}"
        elif found is None:
            kind, call = "missing", f"register-resource {_registration(arn, wanted)}"
        else:
            call = f"update-resource {_registration(arn, wanted)}"
            if "WithPrivilegedAccess" in found.modes:  # which an update cannot take away
                call = f"deregister-resource --resource-arn {arn} && aws lakeformation "
                call += f"register-resource {_registration(arn, wanted)}"
        yield Difference(
            kind=kind,
            resource=f"registered location {arn}",
            detail=f"expected {_told(wanted)}, found {_told(found)}" if wanted and found else "",
            fix=f"aws lakeformation {call}",
        )


def _told(location: Location) -> str:
    return f"the role {location.role} with {listed(location.modes)}"


def _registration(arn: str, location: Location) -> str:
    flags = {"hybrid-access-enabled": "HybridAccessEnabled", "with-federation": "WithFederation"}
    said = [f"--{'' if name in location.modes else 'no-'}{flag}" for flag, name in flags.items()]
    return " ".join([f"--resource-arn {arn} --role-arn {location.role}", *said])


def _assigned(expected: Governance, live: Governance) -> Iterator[Difference]:
    for target in sorted(expected.assigned.keys() | live.assigned.keys()):
        wanted, found = expected.assigned.get(target, {}), live.assigned.get(target, {})
        place = shlex.quote(json.dumps(_target_json(target)))
        for key in sorted(wanted.keys() | found.keys()):
            if wanted.get(key) == found.get(key):
                continue
            tag = [{"TagKey": key, "TagValues": [wanted.get(key) or found[key]]}]
            tags = shlex.quote(json.dumps(tag))
            call = "add-lf-tags-to-resource" if key in wanted else "remove-lf-tags-from-resource"
            yield Difference(
                kind="extra" if key not in wanted else "missing" if key not in found else "differs",
                resource=f"LF-Tag {key} on {target}",
                detail=f"expected {wanted.get(key, 'none')}, found {found.get(key, 'none')}",
                fix=f"aws lakeformation {call} --resource {place} --lf-tags {tags}",
            )


def _target_json(target: Any) -> Mapping[str, Any]:
    if not target.table:
        return {"Database": {"Name": target.database}}
    place = {"DatabaseName": target.database, "Name": target.table}
    if not target.column:
        return {"Table": place}
    return {"TableWithColumns": place | {"ColumnNames": [target.column]}}
