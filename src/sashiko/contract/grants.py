"""Who may read what of the lake, derived from the contracts: LF-Tags and grants."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, get_args

from sashiko.contract.columns import Classification, Column
from sashiko.contract.glue import AS_OF
from sashiko.contract.model import Contract, Reader

TagKind = Literal["sensitivity", "domain", "environment"]
Expression = tuple[tuple[TagKind, tuple[str, ...]], ...]

READS: Mapping[Reader, tuple[Classification, ...]] = MappingProxyType(
    {
        "bias-evaluator": ("none", "sensitive"),
        "broker": ("none",),
        "data-scientist": ("none",),
    }
)


@dataclass(frozen=True, kw_only=True)
class TagAssignment:
    """One LF-Tag with one value on the database, on one of its tables, or on a table's column."""

    kind: TagKind
    value: str
    table: str | None = None
    column: str | None = None


@dataclass(frozen=True, kw_only=True)
class TagGrant:
    """A permission on whatever in the catalog carries a value of each tag in `expression`."""

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
    """SELECT on some rows and columns of one table, and on nothing else of it."""

    persona: Reader
    table: str
    filter: str
    columns: tuple[str, ...]


Grant = TagGrant | ColumnGrant | FilterGrant


def tag_values(
    contracts: Sequence[Contract], *, environments: tuple[str, ...]
) -> Mapping[TagKind, tuple[str, ...]]:
    """Returns the values that each LF-Tag may have; a tag without any is left out."""
    domains = tuple(sorted({c.domain for c in contracts if c.domain is not None}))
    values: dict[TagKind, tuple[str, ...]] = {
        "sensitivity": get_args(Classification),
        "domain": domains,
        "environment": environments,
    }
    return {kind: of_kind for kind, of_kind in values.items() if of_kind}


def tag_assignments(contracts: Sequence[Contract], *, environment: str) -> list[TagAssignment]:
    """Returns the LF-Tags of database, tables and columns, each resource after what holds it.

    Database and tables are pii, so that a column that nobody classified is read by nobody. A
    column that is pii leaves it at that: were it tagged itself, CloudFormation would tag it anew
    and then remove the old tag whenever its classification changes.
    """
    found = [
        TagAssignment(kind="sensitivity", value="pii"),
        TagAssignment(kind="environment", value=environment),
    ]
    for contract in contracts:
        table = contract.table
        found.append(TagAssignment(kind="sensitivity", value="pii", table=table))
        found.append(TagAssignment(kind="environment", value=environment, table=table))
        if contract.domain is not None:
            found.append(TagAssignment(kind="domain", value=contract.domain, table=table))
        shown = [(c.name, c.classification) for c in contract.columns if c.classification != "pii"]
        for column, value in [*shown, (AS_OF, "none")]:
            found.append(TagAssignment(kind="sensitivity", value=value, table=table, column=column))
    return found


def reader_grants(contracts: Sequence[Contract], *, environment: str) -> list[Grant]:
    """Returns what each reader is granted.

    An expression matches the whole catalog, so each one carries the environment. Permissions add
    up: a reader with a row filter gets no SELECT by tags, which would show all rows of that table,
    but the columns of the other tables by name.
    """
    here: Expression = (("environment", (environment,)),)
    grants: list[Grant] = []
    for persona, readable in READS.items():
        grants.append(
            TagGrant(
                persona=persona, permission="DESCRIBE", resource_type="DATABASE", expression=here
            )
        )
        if any(f.persona == persona for contract in contracts for f in contract.row_filters):
            for contract in contracts:
                grants += _named_grants(contract, persona)
        else:
            expression: Expression = (("sensitivity", readable), *here)
            grants.append(
                TagGrant(
                    persona=persona,
                    permission="SELECT",
                    resource_type="TABLE",
                    expression=expression,
                )
            )
    return grants


def _named_grants(contract: Contract, persona: Reader) -> list[Grant]:
    """Returns a reader's grants on one table; columns one by one.

    CloudFormation replaces a grant by a new one and then revokes the old: columns that both of them
    name would be lost.
    """
    for row_filter in contract.row_filters:
        if row_filter.persona == persona:
            return [
                FilterGrant(
                    persona=persona,
                    table=contract.table,
                    filter=row_filter.filter.strip(),
                    columns=(*row_filter.columns, AS_OF),
                )
            ]
    columns = [column.name for column in contract.columns if may_read(persona, column)]
    return [
        ColumnGrant(persona=persona, table=contract.table, column=name)
        for name in (*columns, AS_OF)
    ]


def may_read(persona: Reader, column: Column) -> bool:
    """Tells whether a reader may see a column at all, whatever the rows."""
    return column.classification in READS[persona]
