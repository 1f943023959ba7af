"""The intersections of a contract's facets: which are looked at, and their groups."""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import combinations
from math import prod

from sashiko.contract.model import Contract

# Each is a look of its own, and intervals over many more of them say nothing and take minutes.
MOST_COMBINATIONS = 300


@dataclass(frozen=True)
class FacetGroup:
    """A group of a facet, as an intersection combines it with groups of others.

    Attributes:
        name: its values, joined by commas.
        values: in the facet's column.
        disadvantaged: whether it is the group that bias may harm.
    """

    name: str
    values: tuple[str, ...]
    disadvantaged: bool


def facet_groups(contract: Contract, facet: str) -> tuple[FacetGroup, ...]:
    """Returns a facet's groups: the disadvantaged one as a whole, then each other value alone.

    Every row is of one of them. Values that the contract joins stay joined: it does so because
    they are too few alone.
    """
    harmed = next(item.disadvantaged for item in contract.facets if item.column == facet)
    values = [str(value) for value in contract.column(facet).allowed_values]
    others = (FacetGroup(value, (value,), False) for value in values if value not in harmed)
    return (FacetGroup(",".join(harmed), harmed, True), *others)


def intersections(
    contract: Contract, *, depth: int, gated: Iterable[tuple[str, ...]]
) -> tuple[tuple[str, ...], ...]:
    """Returns which facets are combined: all pairs, triples and so on, and what a gate names.

    Args:
        contract: the data's.
        depth: how many facets are combined at most.
        gated: the facets of each gate, in any order.

    Returns:
        Sets of two facets or more, each in the contract's order, the small ones first.
    """
    columns = [facet.column for facet in contract.facets]
    named = {frozenset(facets) for facets in gated}
    return tuple(
        facets
        for size in range(2, len(columns) + 1)
        for facets in combinations(columns, size)
        if size <= depth or frozenset(facets) in named
    )


def combination_count(contract: Contract, crossed: Iterable[tuple[str, ...]]) -> int:
    """Counts the combinations of groups in intersections of facets."""
    return sum(prod(len(facet_groups(contract, facet)) for facet in facets) for facets in crossed)
