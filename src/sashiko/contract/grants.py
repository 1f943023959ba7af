"""LF-Tags and grants of the lake, derived from the contracts."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal, get_args

from sashiko.contract.glue import AS_OF, GlueTable, captured_name
from sashiko.contract.model import Classification, Column, Contract, Reader

TagKind = Literal["sensitivity", "domain", "environment"]
Expression = tuple[tuple[TagKind, tuple[str, ...]], ...]
READS: Mapping[Reader, tuple[Classification, ...]] = {
    "bias-evaluator": ("none", "sensitive"),
    "broker": ("none",),
    "data-scientist": ("none",),
}


@dataclass(frozen=True, kw_only=True)
class TagAssignment:
    """An LF-Tag value on the database, a table or a column."""

    kind: TagKind
    value: str
    table: str | None = None
    column: str | None = None


@dataclass(frozen=True, kw_only=True)
class TagGrant:
    """A permission on all catalog resources that match `expression`."""

    persona: Reader
    permission: Literal["DESCRIBE", "SELECT"]
    resource_type: Literal["DATABASE", "TABLE"]
    expression: Expression


@dataclass(frozen=True, kw_only=True)
class ColumnGrant:
    """SELECT on one column of one table, by name."""

    persona: Reader
    table: str
    column: str


@dataclass(frozen=True, kw_only=True)
class FilterGrant:
    """SELECT on some rows and columns of one table."""

    persona: Reader
    table: str
    filter: str
    columns: tuple[str, ...]


Grant = TagGrant | ColumnGrant | FilterGrant


def tag_values(
    contracts: Sequence[Contract], *, environments: tuple[str, ...]
) -> Mapping[TagKind, tuple[str, ...]]:
    """Returns the allowed values of each LF-Tag, without tags that have none."""
    values: dict[TagKind, tuple[str, ...]] = {
        "sensitivity": get_args(Classification),
        "domain": tuple(sorted({c.domain for c in contracts if c.domain is not None})),
        "environment": environments,
    }
    return {kind: allowed for kind, allowed in values.items() if allowed}


def tag_assignments(
    contracts: Sequence[Contract],
    *,
    environment: str,
    captured: Sequence[str] = (),
    published: Sequence[GlueTable] = (),
) -> list[TagAssignment]:
    """Returns the LF-Tags of database, tables and columns, parents first.

    Database and tables are tagged pii, so that unclassified columns are not readable. A pii column
    inherits that tag: with its own tag, a change of classification would make CloudFormation add
    the new value and then remove it together with the old one.

    Args:
        contracts: of the lake's tables; nothing is said of those of other owners.
        environment: its name.
        captured: those of the tables whose answered requests are kept. All columns of these are
            pii: a text holds whatever somebody wrote.
        published: further tables, which jobs publish to.
    """
    assignments = [
        TagAssignment(kind="sensitivity", value="pii"),
        TagAssignment(kind="environment", value=environment),
    ]
    for contract in contracts:
        table = contract.table
        if contract.lake is None:
            assignments += _tags_of_table(contract, table, environment=environment)
        if table in captured:
            assignments += _tags_of_table(contract, captured_name(table), environment=environment)
        if contract.lake is not None:
            continue
        columns = {c.name: c.classification for c in contract.columns} | {AS_OF: "none"}
        assignments += [
            TagAssignment(kind="sensitivity", value=value, table=table, column=column)
            for column, value in columns.items()
            if value != "pii"
        ]
    for other in published:
        assignments += [
            TagAssignment(kind="sensitivity", value="pii", table=other.name),
            TagAssignment(kind="environment", value=environment, table=other.name),
        ]
        keys = (other.partition_key,) if other.partition_key else ()
        assignments += [
            TagAssignment(
                kind="sensitivity", value=column.classification, table=other.name,
                column=column.name,
            )
            for column in (*other.columns, *keys)
            if column.classification != "pii"
        ]  # fmt: skip
    return assignments


def _tags_of_table(contract: Contract, table: str, *, environment: str) -> Iterator[TagAssignment]:
    yield TagAssignment(kind="sensitivity", value="pii", table=table)
    yield TagAssignment(kind="environment", value=environment, table=table)
    if contract.domain is not None:
        yield TagAssignment(kind="domain", value=contract.domain, table=table)


def reader_grants(contracts: Sequence[Contract], *, environment: str) -> list[Grant]:
    """Returns the grants of each reader.

    An expression matches the whole catalog, so each one includes the environment. Permissions are
    cumulative: a reader with a row filter gets no SELECT by tags, which would show all rows of that
    table, but SELECT by name on the columns of the other tables.
    """
    environment_tag: Expression = (("environment", (environment,)),)
    grants: list[Grant] = []
    for persona, classifications in READS.items():
        tags = partial(TagGrant, persona=persona)
        expression: Expression = (("sensitivity", classifications), *environment_tag)
        grants.append(
            tags(permission="DESCRIBE", resource_type="DATABASE", expression=environment_tag)
        )
        if any(f.persona == persona for contract in contracts for f in contract.row_filters):
            for contract in contracts:
                grants += _named_grants(contract, persona) if contract.lake is None else []
        else:
            grants.append(tags(permission="SELECT", resource_type="TABLE", expression=expression))
    return grants


def _named_grants(contract: Contract, persona: Reader) -> list[Grant]:
    """Returns a reader's grants on one table, one per column.

    CloudFormation creates a replacement before it revokes the old grant: columns in both would be
    lost.
    """
    table = contract.table
    for row_filter in contract.row_filters:
        if row_filter.persona == persona:
            columns, condition = (*row_filter.columns, AS_OF), row_filter.filter.strip()
            return [FilterGrant(persona=persona, table=table, filter=condition, columns=columns)]
    names = [column.name for column in contract.columns if may_read(persona, column)]
    return [ColumnGrant(persona=persona, table=table, column=n) for n in (*names, AS_OF)]


def may_read(persona: Reader, column: Column) -> bool:
    """Returns whether a reader may see a column."""
    return column.classification in READS[persona]
