"""Differences of who may read what: data-cells filters, grants, opt-ins of hybrid mode."""

import json
import shlex
from collections.abc import Iterator, Set
from dataclasses import replace

from sashiko.aws.operations.access.environment import Environment
from sashiko.aws.operations.access.governance import EVERYBODY, Governance, Grant
from sashiko.aws.operations.access.governance_json import filter_json, securable_json
from sashiko.aws.operations.audit.difference import Difference
from sashiko.aws.resources.names import exec_role_arn

# What Lake Formation gives whoever makes something, with the right to pass it on.
_CREATORS = {
    "Database": {"ALL", "ALTER", "CREATE_TABLE", "DESCRIBE", "DROP"},
    "Table": {"ALL", "ALTER", "DELETE", "DESCRIBE", "DROP", "INSERT"},
    "TableWithColumns": {"SELECT"},
    "LFTag": {"ALTER", "ASSOCIATE", "DESCRIBE", "DROP", "GRANT_WITH_LF_TAG_EXPRESSION"},
}


def access(environment: Environment, live: Governance) -> Iterator[Difference]:
    """Yields what lets somebody read more, or less, than the templates say."""
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
        wanted, found = expected.filters.get(key), live.filters.get(key)
        if wanted == found:
            continue
        resource = f"data-cells filter {'.'.join(key)}"
        if wanted is None:
            name = f"--table-catalog-id {account} --database-name {key[0]} --table-name {key[1]}"
            fix = f"aws lakeformation delete-data-cells-filter {name} --name {key[2]}"
            yield Difference(kind="extra", resource=resource, detail="", fix=fix)
            continue
        data = shlex.quote(json.dumps(filter_json(key, wanted, account=account)))
        call = "create" if found is None else "update"
        yield Difference(
            kind="missing" if found is None else "differs",
            resource=resource,
            detail=f"expected {wanted}, found {found or 'none'}",
            fix=f"aws lakeformation {call}-data-cells-filter --table-data {data}",
        )


def _grants(environment: Environment, live: Governance) -> Iterator[Difference]:
    expected = environment.governance.grants
    for grant in _sorted(expected - live.grants):
        fix = _call("grant-permissions", grant, environment)
        yield Difference(kind="missing", resource=_title(grant), detail="", fix=fix)
    extra = {grant for grant in live.grants - expected if not _is_given(grant, environment, live)}
    for grant in _sorted(extra):
        # Whoever may pass a right on has it, and loses both at once.
        if replace(grant, grantable=True) in extra and not grant.grantable:
            continue
        fix = _call("revoke-permissions", grant, environment)
        plain = replace(grant, grantable=False)
        if plain in expected:
            fix += f" && {_call('grant-permissions', plain, environment)}"
        yield Difference(kind="extra", resource=_title(grant), detail="", fix=fix)


def _is_given(grant: Grant, environment: Environment, live: Governance) -> bool:
    """Says whether this is given by itself: to the maker, or to all where IAM alone decides."""
    on, expected = grant.securable, environment.governance
    made = {
        "Database": on.database in expected.databases,
        "Table": (on.database, on.table) in expected.tables,
        "TableWithColumns": (on.database, on.table) in expected.tables
        and on.columns is None
        and not on.excluded,
        "LFTag": True,
    }
    if not made.get(on.kind):
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
    words = f"--principal DataLakePrincipalIdentifier={grant.principal}"
    if operation != "delete-lake-formation-opt-in":
        words += f" --permissions {grant.permission}"
    if grant.grantable:
        words += f" --permissions-with-grant-option {grant.permission}"
    if grant.condition:
        words += f" --condition {shlex.quote(json.dumps({'Expression': grant.condition}))}"
    return f"aws lakeformation {operation} {words} --resource {shlex.quote(resource)}"


def _sorted(found: Set[Grant]) -> list[Grant]:
    return sorted(found, key=_title)
