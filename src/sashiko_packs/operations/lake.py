"""Compares an account with the templates: the drift of a lake that CloudFormation does not detect.

Drift detection compares the resources of a stack, so it sees no grant, LF-Tag, filter or location
that somebody has added beside them. Of the lake's types it has neither
`AWS::LakeFormation::DataLakeSettings`, `AWS::LakeFormation::Resource` nor `AWS::Glue::Table`:
"Resource type support", AWS CloudFormation User Guide
(https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/resource-import-supported-resources.html)
and issue 1084 of aws-cloudformation/cloudformation-coverage-roadmap. A deploy only applies changes
of a template, so each difference comes with the call that removes it.
"""

import json
import shlex
from collections.abc import Iterator, Mapping, Set
from dataclasses import replace
from typing import Any

from sashiko.account.access.environment_access import Environment
from sashiko.account.access.governance_json import filter_json, securable_json
from sashiko.account.access.lake_governance import (
    EVERYBODY,
    Governance,
    Grant,
    LakeSettings,
    Location,
)
from sashiko.account.access.settings_commands import (
    add_administrator,
    drop_administrators,
    put_defaults,
    put_member,
)
from sashiko.account.names import exec_role_arn
from sashiko_packs.operations.audit import Difference, Kind, listed

# Other teams add values here, and the templates only append. Any other enabled setting, such as
# access by engines outside of AWS, opens the lake.
_SHARED = {"Parameters", "ReadOnlyAdmins", "TrustedResourceOwners"}
# Permissions that Lake Formation grants to the creator of a resource, with grant option.
_CREATORS = {
    "Database": {"ALL", "ALTER", "CREATE_TABLE", "DESCRIBE", "DROP"},
    "Table": {"ALL", "ALTER", "DELETE", "DESCRIBE", "DROP", "INSERT"},
    "TableWithColumns": {"SELECT"},
    "LFTag": {"ALTER", "ASSOCIATE", "DESCRIBE", "DROP", "GRANT_WITH_LF_TAG_EXPRESSION"},
}


def compare_lake(environment: Environment, live: Governance) -> tuple[Difference, ...]:
    """Returns every difference between the templates and the account."""
    return (
        *_account_wide(environment, live),
        *_catalog(environment, live),
        *_access(environment, live),
    )


def _account_wide(environment: Environment, live: Governance) -> Iterator[Difference]:
    """Yields the differences from the templates, or from what the environment needs."""
    if environment.settings.lake_formation.mode == "enforced" and live.settings:
        # If another stack owns the account's settings, the lake needs at least these.
        needed = LakeSettings(admins=frozenset({exec_role_arn(environment.settings)}))
        expected = environment.governance.settings or needed
        own_roles = {role.arn for role in environment.principals}
        for admin in sorted(expected.admins ^ live.settings.admins):
            resource = f"data-lake administrator {admin}"
            if admin in live.settings.admins:
                yield Difference(
                    kind="extra" if admin in own_roles else "note",
                    resource=resource,
                    detail="may grant itself anything; no template names it",
                    fix=drop_administrators([admin]),
                )
            else:
                fix = add_administrator(admin)
                yield Difference(kind="missing", resource=resource, detail="", fix=fix)
        for kind, expected_principals, live_principals in (
            ("Database", expected.database_defaults, live.settings.database_defaults),
            ("Table", expected.table_defaults, live.settings.table_defaults),
        ):
            if expected_principals != live_principals:
                yield Difference(
                    kind="differs",
                    resource=f"default permissions of a new {kind.lower()}",
                    detail=f"expected {listed(expected_principals)}, "
                    f"found {listed(live_principals)}",
                    fix=put_defaults(kind, principals=expected_principals),
                )
        managed = environment.governance.settings is not None
        for name in sorted(expected.others.keys() | live.settings.others.keys()):
            expected_values = expected.others.get(name, frozenset())
            live_values = live.settings.others.get(name, frozenset())
            if expected_values == live_values:
                continue
            foreign = expected_values <= live_values and (name in _SHARED or not managed)
            yield Difference(
                kind="note" if foreign else "differs",
                resource=f"data-lake setting {name}",
                detail=f"expected {listed(expected_values)}, found {listed(live_values)}",
                fix=put_member(name, expected_values),
            )
    yield from _tags(environment.governance, live)


def _tags(expected: Governance, live: Governance) -> Iterator[Difference]:
    if not expected.tags:  # another environment of the account makes them
        return
    for key in sorted(expected.tags.keys() | live.tags.keys()):
        expected_values = expected.tags.get(key, frozenset())
        live_values = live.tags.get(key, frozenset())
        call = f"aws lakeformation update-lf-tag --tag-key {key}"
        if not live_values:
            values = " ".join(sorted(expected_values))
            fix = f"aws lakeformation create-lf-tag --tag-key {key} --tag-values {values}"
            yield Difference(kind="missing", resource=f"LF-Tag {key}", detail="", fix=fix)
        elif not expected_values:
            fix = f"aws lakeformation delete-lf-tag --tag-key {key}"
            yield Difference(kind="extra", resource=f"LF-Tag {key}", detail="", fix=fix)
        elif expected_values != live_values:
            add, drop = sorted(expected_values - live_values), sorted(live_values - expected_values)
            yield Difference(
                kind="differs",
                resource=f"LF-Tag {key}",
                detail=f"expected {listed(expected_values)}, found {listed(live_values)}",
                fix=call
                + (f" --tag-values-to-add {' '.join(add)}" if add else "")
                + (f" --tag-values-to-delete {' '.join(drop)}" if drop else ""),
            )


def _catalog(environment: Environment, live: Governance) -> Iterator[Difference]:
    """Yields the differences between the account's catalog and the templates."""
    expected = environment.governance
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
    yield from _tables(expected, live)
    yield from _assigned(expected, live)
    yield from _locations(expected, live)


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


def _access(environment: Environment, live: Governance) -> Iterator[Difference]:
    """Yields the differences that widen or narrow read access."""
    yield from _filters(environment, live)
    yield from _grants(environment, live)
    for grant in _sorted(live.opt_ins - environment.governance.opt_ins):
        yield Difference(
            kind="extra",
            resource=f"opt-in of {grant.principal} on {grant.securable}",
            detail="hybrid mode: others are let in by IAM alone",
            fix=_call("delete-lake-formation-opt-in", grant, environment),
        )


def _filters(environment: Environment, live: Governance) -> Iterator[Difference]:
    expected, account = environment.governance, environment.templates.account
    for key in sorted(expected.filters.keys() | live.filters.keys()):
        expected_filter, live_filter = expected.filters.get(key), live.filters.get(key)
        if expected_filter == live_filter:
            continue
        resource = f"data-cells filter {'.'.join(key)}"
        if expected_filter is None:
            name = f"--table-catalog-id {account} --database-name {key[0]} --table-name {key[1]}"
            fix = f"aws lakeformation delete-data-cells-filter {name} --name {key[2]}"
            yield Difference(kind="extra", resource=resource, detail="", fix=fix)
            continue
        data = shlex.quote(json.dumps(filter_json(key, expected_filter, account=account)))
        call = "create" if live_filter is None else "update"
        yield Difference(
            kind="missing" if live_filter is None else "differs",
            resource=resource,
            detail=f"expected {expected_filter}, found {live_filter or 'none'}",
            fix=f"aws lakeformation {call}-data-cells-filter --table-data {data}",
        )


def _grants(environment: Environment, live: Governance) -> Iterator[Difference]:
    expected = environment.governance.grants
    for grant in _sorted(expected - live.grants):
        fix = _call("grant-permissions", grant, environment)
        yield Difference(kind="missing", resource=_title(grant), detail="", fix=fix)
    extra = {
        grant for grant in live.grants - expected if not _is_implicit(grant, environment, live)
    }
    for grant in _sorted(extra):
        # A permission with grant option includes the plain one, and both are revoked together.
        if replace(grant, grantable=True) in extra and not grant.grantable:
            continue
        fix = _call("revoke-permissions", grant, environment)
        plain = replace(grant, grantable=False)
        if plain in expected:
            fix += f" && {_call('grant-permissions', plain, environment)}"
        yield Difference(kind="extra", resource=_title(grant), detail="", fix=fix)


def _is_implicit(grant: Grant, environment: Environment, live: Governance) -> bool:
    """Says whether AWS makes this grant itself: to the creator, or to all in `iam_only` mode."""
    on, expected = grant.securable, environment.governance
    implicit = {
        "Database": on.database in expected.databases,
        "Table": (on.database, on.table) in expected.tables,
        "TableWithColumns": (on.database, on.table) in expected.tables
        and on.columns is None
        and not on.excluded,
        "LFTag": True,
    }
    if not implicit.get(on.kind):
        return False
    if grant.principal == EVERYBODY:
        return environment.settings.lake_formation.mode == "iam_only"
    return (
        grant.principal == exec_role_arn(environment.settings)
        and grant.permission in _CREATORS[on.kind]
        and replace(grant, grantable=True) in live.grants
    )


def _title(grant: Grant) -> str:
    passing = ", which it may pass on" if grant.grantable else ""
    when = f" if {grant.condition}" if grant.condition else ""
    return f"grant of {grant.permission} on {grant.securable} to {grant.principal}{passing}{when}"


def _call(operation: str, grant: Grant, environment: Environment) -> str:
    resource = json.dumps(securable_json(grant.securable, account=environment.templates.account))
    options = f"--principal DataLakePrincipalIdentifier={grant.principal}"
    if operation != "delete-lake-formation-opt-in":
        options += f" --permissions {grant.permission}"
    if grant.grantable:
        options += f" --permissions-with-grant-option {grant.permission}"
    if grant.condition:
        options += f" --condition {shlex.quote(json.dumps({'Expression': grant.condition}))}"
    return f"aws lakeformation {operation} {options} --resource {shlex.quote(resource)}"


def _sorted(grants: Set[Grant]) -> list[Grant]:
    return sorted(grants, key=_title)
