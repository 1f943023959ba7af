"""Counts the rows of intersections of facets' groups, which Clarify does not support."""

from dataclasses import dataclass
from itertools import product

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sashiko.bias.clarify.contract_intersections import FacetGroup, facet_groups, intersections
from sashiko.bias.clarify.counting import GroupCounts
from sashiko.bias.clarify.dataset import Column, Dataset
from sashiko.bias.gates.estimates import Subgroup
from sashiko.contract.model import Contract
from sashiko.evaluation.metrics.arrays import Bools, Ints
from sashiko.evaluation.metrics.counts import Counts, tabulate
from sashiko.settings.bias import BiasSection

_UNKNOWN_GROUP = FacetGroup("not in the contract", (), disadvantaged=False)


# A combination of groups, such as `gender=Female & age_band=60+`, and the counts of its rows and
# of all others.
Intersection = tuple[Subgroup, Counts]


@dataclass(frozen=True)
class _FacetCodes:
    groups: tuple[FacetGroup, ...]
    codes: Ints


def count_intersections(
    contract: Contract, section: BiasSection, *, data: Dataset, group_counts: GroupCounts
) -> tuple[Intersection, ...]:
    """Counts each combination of groups against all other rows, in one pass per facet set.

    Combinations without rows are included, so that a gate reports them as too small. Rows that lack
    one of the facets belong to no combination.
    """
    gated = [gate.facets for gate in section.gates]
    sets = intersections(contract, depth=section.intersection_depth, gated=gated)
    used = {facet for facets in sets for facet in facets}
    facet_codes = {
        column.name: _encode(column, facet_groups(contract, facet.column))
        for facet, column in zip(contract.facets, data.facets, strict=True)
        if facet.column in used
    }
    return tuple(
        intersection
        for facets in sets
        for intersection in _count_combinations(
            facets, facet_codes=facet_codes, group_counts=group_counts, counts=data.counts
        )
    )


def _encode(column: Column, groups: tuple[FacetGroup, ...]) -> _FacetCodes:
    """Returns the index of each row's group, -1 for none."""
    numbers = {value: place for place, group in enumerate(groups) for value in group.values}
    values = pa.array(numbers, pa.string())
    indices = pc.index_in(column.values, value_set=values)
    unknown = pc.and_(pc.is_null(indices), pc.is_valid(column.values))
    if pc.any(unknown).as_py():
        groups = (*groups, _UNKNOWN_GROUP)
    group_codes = np.append(np.array(list(numbers.values()), np.int8), np.array([-1], np.int8))
    codes = group_codes[np.asarray(pc.fill_null(indices, len(numbers)))]
    codes[np.asarray(unknown)] = len(groups) - 1
    return _FacetCodes(groups, codes)


def _count_combinations(
    facets: tuple[str, ...],
    *,
    facet_codes: dict[str, _FacetCodes],
    group_counts: GroupCounts,
    counts: Ints | None,
) -> list[Intersection]:
    codes, complete = np.zeros(1, np.int64), np.ones(1, np.bool_)
    for facet in facets:
        codes = codes * len(facet_codes[facet].groups) + facet_codes[facet].codes
        complete = complete & (facet_codes[facet].codes >= 0)
    combinations = list(product(*(facet_codes[facet].groups for facet in facets)))
    table = tabulate(
        np.where(complete, codes, -1),
        group_counts.outcomes.labels,
        group_counts.outcomes.predicted,
        values=len(combinations),
        positive=group_counts.outcomes.positive,
        strata=group_counts.strata,
        counts=counts,
    )
    return [
        (_subgroup(facets, groups), table.one_vs_rest(_one_hot(index, len(combinations))))
        for index, groups in enumerate(combinations)
    ]


def _subgroup(facets: tuple[str, ...], groups: tuple[FacetGroup, ...]) -> Subgroup:
    return Subgroup(
        facet=facets,
        group=tuple(group.name for group in groups),
        disadvantaged=any(group.disadvantaged for group in groups),
    )


def _one_hot(index: int, size: int) -> Bools:
    mask: Bools = np.arange(size) == index
    return mask
