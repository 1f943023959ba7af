"""Differences of the catalog: databases, tables, registered locations, and LF-Tags on them."""

import json
import shlex
from collections.abc import Iterator, Mapping
from typing import Any

from sashiko.aws.operations.access.environment import Environment
from sashiko.aws.operations.access.governance import Governance, Location
from sashiko.aws.operations.audit.difference import Difference, Kind, listed


def catalog(environment: Environment, live: Governance) -> Iterator[Difference]:
    """Yields the differences between the account's catalog and the templates."""
    expected = environment.governance
    yield from _databases(expected, live)
    yield from _tables(expected, live)
    yield from _assigned(expected, live)
    yield from _locations(expected, live)


def _databases(expected: Governance, live: Governance) -> Iterator[Difference]:
    for name, expected_defaults in expected.databases.items():
        if name not in live.databases:
            fix = "deploy the DataLake stack; where it says no change, destroy and deploy it"
            yield Difference(kind="missing", resource=f"database {name}", detail="", fix=fix)
        elif expected_defaults is not None and expected_defaults != live.databases[name]:
            yield Difference(
                kind="differs",
                resource=f"default permissions of new tables in {name}",
                detail=f"expected {listed(expected_defaults)}, "
                f"found {listed(live.databases[name] or ())}",
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
        expected_type, live_type = expected.get(column), live.get(column)
        if live_type is None:
            yield Difference(kind="missing", resource=resource, detail=expected_type or "", fix=fix)
        elif expected_type is None:
            yield Difference(kind="extra", resource=resource, detail=live_type, fix=fix)
        elif expected_type != live_type:
            detail = f"expected {expected_type}, found {live_type}"
            yield Difference(kind="differs", resource=resource, detail=detail, fix=fix)


def _locations(expected: Governance, live: Governance) -> Iterator[Difference]:
    for arn in sorted(expected.locations.keys() | live.locations.keys()):
        expected_location, live_location = expected.locations.get(arn), live.locations.get(arn)
        if expected_location == live_location:
            continue
        kind: Kind = "differs"
        if expected_location is None:
            kind, call = "extra", f"deregister-resource --resource-arn {arn}"
        elif live_location is None:
            kind, call = "missing", f"register-resource {_registration(arn, expected_location)}"
        else:
            call = f"update-resource {_registration(arn, expected_location)}"
            if "WithPrivilegedAccess" in live_location.modes:  # which an update cannot take away
                call = f"deregister-resource --resource-arn {arn} && aws lakeformation "
                call += f"register-resource {_registration(arn, expected_location)}"
        yield Difference(
            kind=kind,
            resource=f"registered location {arn}",
            detail=f"expected {_describe(expected_location)}, found {_describe(live_location)}"
            if expected_location and live_location
            else "",
            fix=f"aws lakeformation {call}",
        )


def _describe(location: Location) -> str:
    return f"the role {location.role} with {listed(location.modes)}"


def _registration(arn: str, location: Location) -> str:
    flags = {"hybrid-access-enabled": "HybridAccessEnabled", "with-federation": "WithFederation"}
    switches = [
        f"--{'' if name in location.modes else 'no-'}{flag}" for flag, name in flags.items()
    ]
    return " ".join([f"--resource-arn {arn} --role-arn {location.role}", *switches])


def _assigned(expected: Governance, live: Governance) -> Iterator[Difference]:
    for target in sorted(expected.assigned.keys() | live.assigned.keys()):
        expected_tags, live_tags = expected.assigned.get(target, {}), live.assigned.get(target, {})
        place = shlex.quote(json.dumps(_target_json(target)))
        for key in sorted(expected_tags.keys() | live_tags.keys()):
            if expected_tags.get(key) == live_tags.get(key):
                continue
            tag = [{"TagKey": key, "TagValues": [expected_tags.get(key) or live_tags[key]]}]
            tags = shlex.quote(json.dumps(tag))
            kind: Kind = "differs" if key in live_tags else "missing"
            call = "add-lf-tags-to-resource"
            if key not in expected_tags:
                kind, call = "extra", "remove-lf-tags-from-resource"
            yield Difference(
                kind=kind,
                resource=f"LF-Tag {key} on {target}",
                detail=f"expected {expected_tags.get(key, 'none')}, "
                f"found {live_tags.get(key, 'none')}",
                fix=f"aws lakeformation {call} --resource {place} --lf-tags {tags}",
            )


def _target_json(target: Any) -> Mapping[str, Any]:
    if not target.table:
        return {"Database": {"Name": target.database}}
    place = {"DatabaseName": target.database, "Name": target.table}
    if not target.column:
        return {"Table": place}
    return {"TableWithColumns": place | {"ColumnNames": [target.column]}}
