"""Counts the rows of every combination of facets' groups, which Clarify knows nothing of."""

from dataclasses import dataclass
from itertools import product

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sashiko.clarify.bias.counting import Counted
from sashiko.clarify.bias.dataset import Column, Dataset
from sashiko.contract.intersections import FacetGroup, facet_groups, intersections
from sashiko.contract.model import Contract
from sashiko.evaluation.gates.estimates import Subgroup
from sashiko.evaluation.metrics.arrays import Bools, Ints
from sashiko.evaluation.metrics.counts import Counts, tabulate
from sashiko.settings.bias import BiasSection

_STRANGE = FacetGroup("not in the contract", (), disadvantaged=False)


@dataclass(frozen=True)
class Intersection:
    """A combination of groups, such as `gender=Female & age_band=60+`.

    Attributes:
        subgroup: which.
        counts: its rows, and everyone else's.
    """

    subgroup: Subgroup
    counts: Counts


@dataclass(frozen=True)
class _Coded:
    groups: tuple[FacetGroup, ...]
    codes: Ints


def count_intersections(
    contract: Contract, section: BiasSection, *, data: Dataset, counted: Counted
) -> tuple[Intersection, ...]:
    """Counts each combination of groups against everyone else, one pass over the rows per set.

    Combinations without a row are counted too, so that a gate finds them too few. Rows that lack
    one of the facets are of no group.

    Args:
        contract: names the facets and their groups.
        section: how many facets are combined, and what its gates name.
        data: the rows.
        counted: what was counted of these rows facet by facet.
    """
    gated = [gate.facets for gate in section.gates]
    sets = intersections(contract, depth=section.intersection_depth, gated=gated)
    used = {facet for facets in sets for facet in facets}
    coded = {
        column.name: _coded(column, facet_groups(contract, facet.column))
        for facet, column in zip(contract.facets, data.facets, strict=True)
        if facet.column in used
    }
    return tuple(
        found
        for facets in sets
        for found in _crossed(facets, coded=coded, counted=counted, counts=data.counts)
    )


def _coded(column: Column, groups: tuple[FacetGroup, ...]) -> _Coded:
    """Numbers the rows by their group, -1 for none."""
    numbers = {value: place for place, group in enumerate(groups) for value in group.values}
    values = pa.array(numbers, pa.string())
    found = pc.index_in(column.values, value_set=values)
    strange = pc.and_(pc.is_null(found), pc.is_valid(column.values))
    if pc.any(strange).as_py():
        groups = (*groups, _STRANGE)
    places = np.append(np.array(list(numbers.values()), np.int8), np.array([-1], np.int8))
    codes = places[np.asarray(pc.fill_null(found, len(numbers)))]
    codes[np.asarray(strange)] = len(groups) - 1
    return _Coded(groups, codes)


def _crossed(
    facets: tuple[str, ...],
    *,
    coded: dict[str, _Coded],
    counted: Counted,
    counts: Ints | None,
) -> list[Intersection]:
    codes, known = np.zeros(1, np.int64), np.ones(1, np.bool_)
    for facet in facets:
        codes = codes * len(coded[facet].groups) + coded[facet].codes
        known = known & (coded[facet].codes >= 0)
    combinations = list(product(*(coded[facet].groups for facet in facets)))
    table = tabulate(
        np.where(known, codes, -1),
        counted.outcomes.labels,
        counted.outcomes.predicted,
        values=len(combinations),
        positive=counted.outcomes.positive,
        strata=counted.strata,
        counts=counts,
    )
    return [
        Intersection(_subgroup(facets, groups), table.one_vs_rest(_only(place, len(combinations))))
        for place, groups in enumerate(combinations)
    ]


def _subgroup(facets: tuple[str, ...], groups: tuple[FacetGroup, ...]) -> Subgroup:
    return Subgroup(
        facet=facets,
        group=tuple(group.name for group in groups),
        disadvantaged=any(group.disadvantaged for group in groups),
    )


def _only(place: int, size: int) -> Bools:
    mask: Bools = np.arange(size) == place
    return mask
