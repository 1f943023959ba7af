"""Intersections of a contract's facets, and their groups."""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import combinations
from math import prod

from sashiko.contract.model import Contract

# Each combination is one of the simultaneous comparisons; far more would take minutes and make the
# intervals useless.
MOST_COMBINATIONS = 300


@dataclass(frozen=True)
class FacetGroup:
    """A group of a facet, for intersections."""

    name: str  # its values, joined by commas
    values: tuple[str, ...]  # in the facet's column
    disadvantaged: bool  # whether it is the disadvantaged group


def facet_groups(contract: Contract, facet: str) -> tuple[FacetGroup, ...]:
    """Returns a facet's groups: the disadvantaged one as a whole, then each other value.

    Each row is in exactly one group. Values that the contract combines stay combined, since each
    alone has too few rows.
    """
    disadvantaged = next(item.disadvantaged for item in contract.facets if item.column == facet)
    values = [str(value) for value in contract.column(facet).allowed_values]
    others = (FacetGroup(value, (value,), False) for value in values if value not in disadvantaged)
    return (FacetGroup(",".join(disadvantaged), disadvantaged, True), *others)


def intersections(
    contract: Contract, *, depth: int, gated: Iterable[tuple[str, ...]]
) -> tuple[tuple[str, ...], ...]:
    """Returns the intersections: all sets of up to `depth` facets, and those of the gates.

    Returns:
        Sets of two or more facets, each in the contract's order, the smaller ones first.
    """
    columns = [facet.column for facet in contract.facets]
    gated_sets = {frozenset(facets) for facets in gated}
    return tuple(
        facets
        for size in range(2, len(columns) + 1)
        for facets in combinations(columns, size)
        if size <= depth or frozenset(facets) in gated_sets
    )


def combination_count(contract: Contract, facet_sets: Iterable[tuple[str, ...]]) -> int:
    """Counts the combinations of groups in intersections of facets."""
    return sum(
        prod(len(facet_groups(contract, facet)) for facet in facets) for facets in facet_sets
    )
