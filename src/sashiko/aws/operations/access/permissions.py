"""The permission matrix: which role reads which column of which rows, and on what ground.

Lake Formation and IAM are evaluated as AWS does it, from the templates alone:

- A column is read by Lake Formation where the table's location is registered, a grant of SELECT or
  ALL matches it, and IAM lets the role use the grant. Grants add up: one that is not filtered
  makes a data-cells filter beside it void.
- A tag expression matches a column whose tags, its own over the table's over the database's, have
  one of the values for every key.
- A role that can read the table's objects in S3 reads every column and every row.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from sashiko.aws.operations.access.environment import Environment
from sashiko.aws.operations.access.governance import (
    EVERYBODY,
    CellsFilter,
    Securable,
    TableName,
    Target,
)
from sashiko.aws.operations.access.policies import overlap, statements
from sashiko.aws.operations.access.principals import Principal
from sashiko.errors import InputError

Access = Literal["allowed", "filtered", "denied"]
Ground = Literal["tags", "name", "filter", "everybody", "files"]
_READING = frozenset({"SELECT", "ALL", "SUPER"})


@dataclass(frozen=True, kw_only=True)
class Cell:
    """What a role may read of a column.

    Attributes:
        principal: the role's short name, or the ARN of a stranger.
        database: the column's database.
        table: the column's table.
        column: the column.
        access: all rows, some rows, or none.
        rows: where it is filtered: the filters' expressions.
        grounds: why: a tag expression, a grant by name, a filter, a grant to everybody, or the
            objects in S3.
    """

    principal: str
    database: str
    table: str
    column: str
    access: Access
    rows: tuple[str, ...] = ()
    grounds: tuple[Ground, ...] = ()


@dataclass(frozen=True, kw_only=True)
class _Found:
    ground: Ground
    rows: str = ""


def permission_matrix(who: Environment, lake: Environment) -> tuple[Cell, ...]:
    """Works out what each role of `who` may read of each column of `lake`.

    Args:
        who: the environment of the roles and their grants.
        lake: the environment of the tables; the same one, or another in the same account, whose
            tables a tag expression would match too.

    Raises:
        InputError: if a grant is on a filter that no template makes.
    """
    return tuple(
        _cell(principal, who, lake, name, column)
        for principal in (*who.principals, *_strangers(who))
        for name, columns in lake.governance.tables.items()
        for column in columns
    )


def _strangers(environment: Environment) -> Iterator[Principal]:
    """Yields whoever is granted something and is no role of the templates.

    What IAM lets them do is not known, so that they are taken to be able to use their grants.
    """
    known = {principal.arn for principal in environment.principals} | {EVERYBODY}
    anything = statements(
        {"Statement": {"Effect": "Allow", "Action": "*", "NotResource": "arn:*:s3:::*"}}
    )
    granted = {grant.principal for grant in environment.governance.grants}
    for arn in sorted(granted - known):
        yield Principal(name=arn, arn=arn, policy=anything, boundary=None, trust=())


def _cell(
    principal: Principal, who: Environment, lake: Environment, name: TableName, column: str
) -> Cell:
    found: set[_Found] = set()
    if _vended(lake, name) and _may_query(principal, lake, name):
        found |= {*_granted(principal, who, lake, name, column)}
    if _reads_files(principal, lake, name):
        found.add(_Found(ground="files"))
    whole = any(not item.rows for item in found)
    access: Access = "denied" if not found else "allowed" if whole else "filtered"
    return Cell(
        principal=principal.name,
        database=name[0],
        table=name[1],
        column=column,
        access=access,
        rows=tuple(sorted({item.rows for item in found})) if access == "filtered" else (),
        grounds=tuple(sorted({item.ground for item in found})),
    )


def _vended(lake: Environment, name: TableName) -> bool:
    """Says whether Lake Formation reads the table's files on behalf of who asks."""
    place = lake.governance.places[name].removeprefix("s3://")
    places = [arn.partition(":::")[2] for arn in lake.governance.locations]
    return any(f"{place}/".startswith(f"{path.rstrip('/')}/") for path in places)


def _may_query(principal: Principal, lake: Environment, name: TableName) -> bool:
    """Says whether IAM lets a role use its grants: metadata, credentials, and an engine."""
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
) -> Iterator[_Found]:
    if _open_to_everybody(lake, name):
        yield _Found(ground="everybody")
    everybody = {EVERYBODY, f"{lake.templates.account}:IAMPrincipals"}
    for grant in who.governance.grants | lake.governance.grants:
        if grant.principal not in {principal.arn, *everybody} or grant.permission not in _READING:
            continue
        found = _match(grant.securable, who, lake, name, column)
        if found:
            yield _Found(ground="everybody") if grant.principal in everybody else found


def _open_to_everybody(lake: Environment, name: TableName) -> bool:
    """Says whether a new table is open to all of IAM, as the database says, or else the account.

    An account whose settings no template makes may still have AWS's own: everybody.
    """
    governance = lake.governance
    account = governance.settings.table_defaults if governance.settings else {EVERYBODY}
    defaults = governance.databases.get(name[0])
    return EVERYBODY in (account if defaults is None else defaults)


def _match(
    securable: Securable, who: Environment, lake: Environment, name: TableName, column: str
) -> _Found | None:
    if securable.kind == "LFTagPolicy":
        return _match_tags(securable, lake, name, column)
    if securable.database != name[0] or securable.table not in {"*", name[1]}:
        return None
    if securable.kind in {"Table", "TableWithColumns"}:
        chosen = _has(column, securable)
        return _Found(ground="name") if chosen else None
    if securable.kind == "DataCellsFilter":
        key = (*name, securable.name)
        cells = who.governance.filters.get(key) or lake.governance.filters.get(key)
        if cells is None:
            raise InputError(
                f"{'.'.join(name)}: a grant is on the data-cells filter {securable.name}, which "
                "no template makes; make it in the Governance stack, or drop the grant"
            )
        return _Found(ground="filter", rows=cells.rows) if _has(column, cells) else None
    return None


def _match_tags(
    securable: Securable, lake: Environment, name: TableName, column: str
) -> _Found | None:
    tags = lake.governance.tags_of(Target(database=name[0], table=name[1], column=column))
    matches = all(tags.get(key) in values for key, values in securable.expression)
    return _Found(ground="tags") if matches and securable.resource_type == "TABLE" else None


def _has(column: str, of: Securable | CellsFilter) -> bool:
    return column not in of.excluded if of.columns is None else column in of.columns


def _reads_files(principal: Principal, lake: Environment, name: TableName) -> bool:
    bucket, _, path = lake.governance.places[name].removeprefix("s3://").partition("/")
    keys = f"{path.rstrip('/')}/*"
    return any(
        overlap(pattern, keys) for pattern in lake.object_paths(principal, "s3:GetObject", bucket)
    )
