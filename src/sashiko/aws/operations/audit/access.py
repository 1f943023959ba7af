"""Differences in read access: data-cells filters, grants, opt-ins of hybrid mode."""

import json
import shlex
from collections.abc import Iterator, Set
from dataclasses import replace

from sashiko.aws.operations.access.environment import Environment
from sashiko.aws.operations.access.governance import EVERYBODY, Governance, Grant
from sashiko.aws.operations.access.governance_json import filter_json, securable_json
from sashiko.aws.operations.audit.difference import Difference
from sashiko.aws.resources.names import exec_role_arn

# Permissions that Lake Formation grants to the creator of a resource, with grant option.
_CREATORS = {
    "Database": {"ALL", "ALTER", "CREATE_TABLE", "DESCRIBE", "DROP"},
    "Table": {"ALL", "ALTER", "DELETE", "DESCRIBE", "DROP", "INSERT"},
    "TableWithColumns": {"SELECT"},
    "LFTag": {"ALTER", "ASSOCIATE", "DESCRIBE", "DROP", "GRANT_WITH_LF_TAG_EXPRESSION"},
}


def access(environment: Environment, live: Governance) -> Iterator[Difference]:
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
