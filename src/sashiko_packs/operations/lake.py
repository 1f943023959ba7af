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
from sashiko.account.access.lake_governance import (
    EVERYBODY,
    Governance,
    Grant,
    LakeSettings,
    Location,
    add_administrator,
    drop_administrators,
    filter_json,
    put_defaults,
    put_member,
    securable_json,
)
from sashiko.account.access.live import Difference, Kind, differs, listed
from sashiko.account.names import exec_role_arn

# Other teams add values here, and the templates only append. Any other enabled setting, such as
# access by engines outside of AWS, opens the lake.
_SHARED = {"Parameters", "ReadOnlyAdmins", "TrustedResourceOwners"}
_DEPLOY = "deploy the DataLake stack; where it says no change, destroy and deploy it"
# Permissions that Lake Formation grants to the creator of a resource, with grant option.
_CREATORS = {
    "Database": {"ALL", "ALTER", "CREATE_TABLE", "DESCRIBE", "DROP"},
    "Table": {"ALL", "ALTER", "DELETE", "DESCRIBE", "DROP", "INSERT"},
    "TableWithColumns": {"SELECT"},
    "LFTag": {"ALTER", "ASSOCIATE", "DESCRIBE", "DROP", "GRANT_WITH_LF_TAG_EXPRESSION"},
}


def compare_lake(environment: Environment, live: Governance) -> tuple[Difference, ...]:
    """Returns every difference between the templates and the account."""
    expected = environment.governance
    return (
        *_settings(environment, live),
        *(_tags(expected, live) if expected.tags else ()),  # else another environment makes them
        *_databases(expected, live),
        *_tables(expected, live),
        *_assigned(expected, live),
        *_locations(expected, live),
        *_filters(environment, live),
        *_grants(environment, live),
        *(
            Difference(
                "extra",
                f"opt-in of {grant.principal} on {grant.securable}",
                "hybrid mode: others are let in only by IAM",
                fix=_call("delete-lake-formation-opt-in", grant, environment),
            )
            for grant in _sorted(live.opt_ins - expected.opt_ins)
        ),
    )


def _differing(expected: Mapping[Any, Any], live: Mapping[Any, Any]) -> Iterator[tuple[Any, ...]]:
    """Yields key, expected and live value of what differs, in order; None of what is not there."""
    for key in sorted(expected.keys() | live.keys()):
        if expected.get(key) != live.get(key):
            yield key, expected.get(key), live.get(key)


def _settings(environment: Environment, live: Governance) -> Iterator[Difference]:
    """Yields the differences from the templates, or from what the environment needs."""
    current, managed = live.settings, environment.governance.settings
    if environment.settings.lake_formation.mode != "enforced" or not current:
        return
    # If another stack owns the account's settings, the lake needs at least these.
    needed = LakeSettings(admins=frozenset({exec_role_arn(environment.settings)}))
    expected = managed or needed
    own_roles = {role.arn for role in environment.principals}
    for admin in sorted(expected.admins ^ current.admins):
        resource = f"data-lake administrator {admin}"
        if admin in current.admins:
            kind: Kind = "extra" if admin in own_roles else "note"
            detail = "may grant itself anything; no template names it"
            yield Difference(kind, resource, detail, fix=drop_administrators([admin]))
        else:
            yield Difference("missing", resource, fix=add_administrator(admin))
    for kind_of, want, have in (
        ("Database", expected.database_defaults, current.database_defaults),
        ("Table", expected.table_defaults, current.table_defaults),
    ):
        if want != have:
            resource = f"default permissions of a new {kind_of.lower()}"
            fix = put_defaults(kind_of, principals=want)
            yield differs(resource, listed(want), listed(have), fix=fix)
    for name, *values in _differing(expected.others, current.others):
        want, have = (value or frozenset() for value in values)
        foreign = want <= have and (name in _SHARED or not managed)
        kind = "note" if foreign else "differs"
        resource, fix = f"data-lake setting {name}", put_member(name, want)
        yield differs(resource, listed(want), listed(have), fix=fix, kind=kind)


def _tags(expected: Governance, live: Governance) -> Iterator[Difference]:
    for key, want, have in _differing(expected.tags, live.tags):
        resource, call = f"LF-Tag {key}", "aws lakeformation {}-lf-tag --tag-key " + key
        if not have:
            fix = f"{call.format('create')} --tag-values {' '.join(sorted(want))}"
            yield Difference("missing", resource, fix=fix)
        elif not want:
            yield Difference("extra", resource, fix=call.format("delete"))
        else:
            fix, add, drop = call.format("update"), sorted(want - have), sorted(have - want)
            fix += f" --tag-values-to-add {' '.join(add)}" if add else ""
            fix += f" --tag-values-to-delete {' '.join(drop)}" if drop else ""
            yield differs(resource, listed(want), listed(have), fix=fix)


def _databases(expected: Governance, live: Governance) -> Iterator[Difference]:
    for name, want in expected.databases.items():
        if name not in live.databases:
            yield Difference("missing", f"database {name}", fix=_DEPLOY)
        elif want is not None and want != live.databases[name]:
            resource = f"default permissions of new tables in {name}"
            fix = f"aws glue update-database --name {name}, with the expected permissions"
            yield differs(resource, listed(want), listed(live.databases[name] or ()), fix=fix)


def _tables(expected: Governance, live: Governance) -> Iterator[Difference]:
    for name, want, have in _differing(expected.tables, live.tables):
        title = ".".join(name)
        if have is None:
            yield Difference("missing", f"table {title}", fix=_DEPLOY)
        elif want is None:
            call = f"aws glue delete-table --database-name {name[0]} --name {name[1]}"
            fix = f"write a contract for it, or: {call}"
            yield Difference("extra", f"table {title}", fix=fix)
        else:
            fix = f"aws glue update-table of {title}, or change the contract and deploy"
            for column in dict.fromkeys([*want, *have]):
                resource = f"column {title}.{column}"
                if column not in have:
                    yield Difference("missing", resource, want[column], fix=fix)
                elif column not in want:
                    yield Difference("extra", resource, have[column], fix=fix)
                elif want[column] != have[column]:
                    yield differs(resource, want[column], have[column], fix=fix)


def _locations(expected: Governance, live: Governance) -> Iterator[Difference]:
    for arn, want, have in _differing(expected.locations, live.locations):
        resource, call = f"registered location {arn}", "aws lakeformation"
        drop = f"{call} deregister-resource --resource-arn {arn}"
        if want is None:
            yield Difference("extra", resource, fix=drop)
            continue
        place = _registration(arn, want)
        register = f"{call} register-resource {place}"
        if have is None:
            yield Difference("missing", resource, fix=register)
            continue
        fix = f"{call} update-resource {place}"
        if "WithPrivilegedAccess" in have.modes:  # which an update cannot take away
            fix = f"{drop} && {register}"
        roles = [f"the role {item.role} with {listed(item.modes)}" for item in (want, have)]
        yield differs(resource, *roles, fix=fix)


def _registration(arn: str, location: Location) -> str:
    flags = {"hybrid-access-enabled": "HybridAccessEnabled", "with-federation": "WithFederation"}
    switches = [
        f"--{'' if name in location.modes else 'no-'}{flag}" for flag, name in flags.items()
    ]
    return " ".join([f"--resource-arn {arn} --role-arn {location.role}", *switches])


def _assigned(expected: Governance, live: Governance) -> Iterator[Difference]:
    for target, of_template, of_account in _differing(expected.assigned, live.assigned):
        place: dict[str, Any] = {"DatabaseName": target.database, "Name": target.table}
        if target.column:
            place = {"TableWithColumns": place | {"ColumnNames": [target.column]}}
        elif target.table:
            place = {"Table": place}
        else:
            place = {"Database": {"Name": target.database}}
        for key, want, have in _differing(of_template or {}, of_account or {}):
            kind: Kind = "extra" if want is None else "missing" if have is None else "differs"
            call = "add-lf-tags-to-resource" if want else "remove-lf-tags-from-resource"
            tag = json.dumps([{"TagKey": key, "TagValues": [want or have]}])
            options = f"--resource {_quoted(place)} --lf-tags {shlex.quote(tag)}"
            resource, fix = f"LF-Tag {key} on {target}", f"aws lakeformation {call} {options}"
            yield differs(resource, want or "none", have or "none", fix=fix, kind=kind)


def _filters(environment: Environment, live: Governance) -> Iterator[Difference]:
    account = environment.templates.account
    for key, want, have in _differing(environment.governance.filters, live.filters):
        resource = f"data-cells filter {'.'.join(key)}"
        if want is None:
            name = f"--table-catalog-id {account} --database-name {key[0]} --table-name {key[1]}"
            fix = f"aws lakeformation delete-data-cells-filter {name} --name {key[2]}"
            yield Difference("extra", resource, fix=fix)
            continue
        kind: Kind = "differs" if have else "missing"
        data = _quoted(filter_json(key, want, account=account))
        call = "update" if have else "create"
        fix = f"aws lakeformation {call}-data-cells-filter --table-data {data}"
        yield differs(resource, want, have or "none", fix=fix, kind=kind)


def _grants(environment: Environment, live: Governance) -> Iterator[Difference]:
    expected = environment.governance.grants
    for grant in _sorted(expected - live.grants):
        fix = _call("grant-permissions", grant, environment)
        yield Difference("missing", _title(grant), fix=fix)
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
        yield Difference("extra", _title(grant), fix=fix)


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
    resource = securable_json(grant.securable, account=environment.templates.account)
    options = f"--principal DataLakePrincipalIdentifier={grant.principal}"
    if operation != "delete-lake-formation-opt-in":
        options += f" --permissions {grant.permission}"
    if grant.grantable:
        options += f" --permissions-with-grant-option {grant.permission}"
    if grant.condition:
        options += f" --condition {_quoted({'Expression': grant.condition})}"
    return f"aws lakeformation {operation} {options} --resource {_quoted(resource)}"


def _quoted(value: Mapping[str, Any]) -> str:
    return shlex.quote(json.dumps(value))


def _sorted(grants: Set[Grant]) -> list[Grant]:
    return sorted(grants, key=_title)
