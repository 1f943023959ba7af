"""The permission matrix: which role reads which column of which rows, and why.

Lake Formation and IAM are evaluated as AWS does, only from the templates:

- A column is read by Lake Formation where the table's location is registered, a grant of SELECT or
  ALL matches it, and IAM lets the role use the grant. Grants add up: an
  unfiltered grant overrides a data-cells filter.
- A tag expression matches a column whose tags, its own over the table's over the database's, have
  one of the values for every key.
- A role that can read the table's objects in S3 reads every column and every row.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import permutations
from typing import Literal

from sashiko.account.access.environment_access import Environment, Principal
from sashiko.account.access.lake_governance import (
    EVERYBODY,
    CellsFilter,
    Securable,
    TableName,
    Target,
)
from sashiko.account.access.policy_evaluation import overlap, statements
from sashiko.errors import InputError

_STATUS = "sagemaker:ModelApprovalStatus"


@dataclass(frozen=True, kw_only=True)
class Objects:
    """Which objects of a bucket a role reads and writes, as patterns of keys."""

    principal: str
    bucket: str
    reads: tuple[str, ...]
    writes: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Duties:
    """The roles that register and approve models, and the roles that can act as others."""

    registers: tuple[str, ...]  # the roles that can create a model package
    # The roles that can approve one, or create one that is approved already.
    approves: tuple[str, ...]
    assumes: tuple[tuple[str, str], ...]  # pairs of a role and another one that it can assume
    # Pairs of a role and another one that it can pass to a service's job.
    passes: tuple[tuple[str, str], ...]


def object_access(environment: Environment) -> tuple[Objects, ...]:
    """Returns which roles read and write objects in the environment's buckets."""
    objects = (
        Objects(
            principal=principal.name,
            bucket=bucket,
            reads=environment.object_paths(principal, "s3:GetObject", bucket),
            writes=environment.object_paths(principal, "s3:PutObject", bucket),
        )
        for bucket in sorted(environment.buckets)
        for principal in environment.principals
    )
    return tuple(item for item in objects if item.reads or item.writes)


def duties(environment: Environment) -> Duties:
    """Returns the roles that register and approve, and those that can act as others."""
    packages, approved = environment.arn("sagemaker", "model-package*"), {_STATUS: "Approved"}
    create, update = "sagemaker:CreateModelPackage", "sagemaker:UpdateModelPackage"
    root = f"arn:{environment.templates.partition}:iam::{environment.templates.account}:root"
    roles = environment.principals
    pairs = list(permutations(roles, 2))
    return Duties(
        registers=tuple(role.name for role in roles if role.may(create, packages)),
        approves=tuple(
            role.name
            for role in roles
            if role.may(create, packages, approved) or role.may(update, packages, approved)
        ),
        assumes=tuple((a.name, b.name) for a, b in pairs if _may_assume(a, b, root)),
        passes=tuple((a.name, b.name) for a, b in pairs if a.may("iam:PassRole", b.arn)),
    )


def _may_assume(role: Principal, other: Principal, root: str) -> bool:
    trust = [item for item in other.trust if item.effect == "Allow"]
    delegated = any(item.is_for(root) for item in trust)
    trusted = any(item.is_for(role.arn) for item in trust)
    return trusted or (delegated and role.may("sts:AssumeRole", other.arn))


Access = Literal["allowed", "filtered", "denied"]
Ground = Literal["tags", "name", "filter", "everybody", "files"]
_READING = frozenset({"SELECT", "ALL", "SUPER"})


@dataclass(frozen=True, kw_only=True)
class Cell:
    """The access of a role to a column."""

    principal: str  # the role's short name, or the ARN of an external principal
    database: str  # the column's database
    table: str  # the column's table
    column: str
    access: Access  # all rows, some rows, or none
    rows: tuple[str, ...] = ()  # where it is filtered: the filters' expressions
    # Why: a tag expression, a grant by name, a filter, a grant to everybody, or the objects in S3.
    grounds: tuple[Ground, ...] = ()


@dataclass(frozen=True, kw_only=True)
class _ReadPath:
    ground: Ground
    rows: str = ""


def permission_matrix(who: Environment, lake: Environment) -> tuple[Cell, ...]:
    """Returns the access of each role of `who` to each column of `lake`.

    `lake` is the same environment or another in the account, whose tables a tag expression could
    match. InputError if a grant is on a filter that no template has.
    """
    known = {principal.arn for principal in who.principals} | {EVERYBODY}
    # The IAM policies of principals that no template has are unknown: they can use their grants.
    anything = statements(
        {"Statement": {"Effect": "Allow", "Action": "*", "NotResource": "arn:*:s3:::*"}}
    )
    others = (
        Principal(name=arn, arn=arn, policy=anything, boundary=None, trust=())
        for arn in sorted({grant.principal for grant in who.governance.grants} - known)
    )
    return tuple(
        _cell(principal, who, lake, name, column)
        for principal in (*who.principals, *others)
        for name, columns in lake.governance.tables.items()
        for column in columns
    )


def _cell(
    principal: Principal, who: Environment, lake: Environment, name: TableName, column: str
) -> Cell:
    read_paths: set[_ReadPath] = set()
    place = lake.governance.places[name].removeprefix("s3://")
    # Lake Formation vends credentials for the files of registered locations alone.
    registered = [arn.partition(":::")[2] for arn in lake.governance.locations]
    vended = any(f"{place}/".startswith(f"{path.rstrip('/')}/") for path in registered)
    if vended and _may_query(principal, lake, name):
        read_paths |= {*_granted(principal, who, lake, name, column)}
    bucket, _, path = place.partition("/")
    keys = f"{path.rstrip('/')}/*"
    if any(
        overlap(pattern, keys) for pattern in lake.object_paths(principal, "s3:GetObject", bucket)
    ):
        read_paths.add(_ReadPath(ground="files"))
    whole = any(not item.rows for item in read_paths)
    access: Access = "denied" if not read_paths else "allowed" if whole else "filtered"
    return Cell(
        principal=principal.name,
        database=name[0],
        table=name[1],
        column=column,
        access=access,
        rows=tuple(sorted({item.rows for item in read_paths})) if access == "filtered" else (),
        grounds=tuple(sorted({item.ground for item in read_paths})),
    )


def _may_query(principal: Principal, lake: Environment, name: TableName) -> bool:
    """Says whether IAM allows a role to use its grants: metadata, credentials, and an engine."""
    metadata = ("catalog", f"database/{name[0]}", f"table/{name[0]}/{name[1]}")
    return (
        all(principal.may("glue:GetTable", lake.arn("glue", item)) for item in metadata)
        and principal.may("lakeformation:GetDataAccess", "*")
        and (
            principal.may("athena:StartQueryExecution", lake.arn("athena", "workgroup/*"))
            or any(item.is_for("glue.amazonaws.com") for item in principal.trust)
        )
    )


def _granted(
    principal: Principal, who: Environment, lake: Environment, name: TableName, column: str
) -> Iterator[_ReadPath]:
    governance = lake.governance
    account = governance.settings.table_defaults if governance.settings else {EVERYBODY}
    defaults = governance.databases.get(name[0])
    # An account without settings in a template may still have AWS's default: everybody.
    if EVERYBODY in (account if defaults is None else defaults):
        yield _ReadPath(ground="everybody")
    everybody = {EVERYBODY, f"{lake.templates.account}:IAMPrincipals"}
    for grant in who.governance.grants | lake.governance.grants:
        if grant.principal not in {principal.arn, *everybody} or grant.permission not in _READING:
            continue
        read_path = _match(grant.securable, who, lake, name, column)
        if read_path:
            yield _ReadPath(ground="everybody") if grant.principal in everybody else read_path


def _match(
    securable: Securable, who: Environment, lake: Environment, name: TableName, column: str
) -> _ReadPath | None:
    if securable.kind == "LFTagPolicy":
        tags = lake.governance.tags_of(Target(database=name[0], table=name[1], column=column))
        matches = all(tags.get(key) in values for key, values in securable.expression)
        return _ReadPath(ground="tags") if matches and securable.resource_type == "TABLE" else None
    if securable.database != name[0] or securable.table not in {"*", name[1]}:
        return None
    if securable.kind in {"Table", "TableWithColumns"}:
        included = _has(column, securable)
        return _ReadPath(ground="name") if included else None
    if securable.kind == "DataCellsFilter":
        key = (*name, securable.name)
        cells = who.governance.filters.get(key) or lake.governance.filters.get(key)
        if cells is None:
            raise InputError(
                f"{'.'.join(name)}: a grant is on the data-cells filter {securable.name}, which "
                "no template has; create it in the Governance stack, or drop the grant"
            )
        return _ReadPath(ground="filter", rows=cells.rows) if _has(column, cells) else None
    return None


def _has(column: str, source: Securable | CellsFilter) -> bool:
    return column not in source.excluded if source.columns is None else column in source.columns
