"""Counts the rows of a data set by each group of its facets, label and prediction."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sashiko.clarify.bias.config import AnalysisConfig, FacetConfig
from sashiko.clarify.bias.criteria import MOST_GROUPS, criterion, distinct
from sashiko.clarify.bias.dataset import Column, Dataset
from sashiko.clarify.bias.flips import flip
from sashiko.clarify.bias.outcomes import Outcomes, outcomes
from sashiko.errors import InputError
from sashiko.evaluation.metrics import flip_test
from sashiko.evaluation.metrics.arrays import Bools, Ints
from sashiko.evaluation.metrics.counts import Counts, tabulate
from sashiko.evaluation.metrics.flip_test import FlipTest

_MOST_STRATA = 1000


@dataclass(frozen=True)
class Counted:
    """The counts of a whole analysis.

    Attributes:
        label: the label's column.
        outcomes: each row's label and prediction, and which labels are the positive ones.
        strata: number of each row's value of the group variable, shape (rows,); None without one.
        facets: facet -> group, likewise named -> its rows and everyone else's.
        flips: facet -> group -> its flip test; nothing where none is asked for.
    """

    label: str
    outcomes: Outcomes
    strata: Ints | None
    facets: Mapping[str, Mapping[str, Counts]]
    flips: Mapping[str, Mapping[str, FlipTest]]


def group_counts(config: AnalysisConfig, data: Dataset) -> Counted:
    """Counts each group that the configuration compares with everyone else.

    A facet's group is the one that the configuration names, or each value's in turn where it names
    none. Rows without a value are of no group: they are counted as missing.

    Raises:
        InputError: as `outcomes` does, and if a column has too many values to be a category, or a
            number may be a value or a threshold.
    """
    found = outcomes(config, data)
    strata = None if data.group is None else _codes(data.group, most=_MOST_STRATA)
    flipped = flip_test.NAME in config.methods.names("post_training")
    facets, flips = {}, {}
    for index, (facet, column) in enumerate(zip(config.facet, data.facets, strict=True)):
        codes, groups = _groups(facet, column, key=f"facet.{index}.value_or_threshold")
        table = tabulate(
            codes,
            found.labels,
            found.predicted,
            values=max(2, len(groups)),
            positive=found.positive,
            strata=strata,
            counts=data.counts,
        )
        facets[column.name] = {name: table.one_vs_rest(mask) for name, mask in groups.items()}
        if flipped and found.predicted is not None:
            flips[column.name] = {
                name: flip(data.features, codes, mask, found.predicted)
                for name, mask in groups.items()
            }
    return Counted(data.label.name, found, strata, facets, flips)


def _groups(facet: FacetConfig, column: Column, *, key: str) -> tuple[Ints, dict[str, Bools]]:
    """Numbers the rows by their value, -1 for none, and says which numbers each group has."""
    if facet.value_or_threshold:
        named = criterion(column.values, facet.value_or_threshold, key=key)
        codes = named.holds(column.values).astype(np.int64)
        codes[np.asarray(pc.is_null(column.values))] = -1
        return codes, {named.name: np.array([False, True])}
    texts = distinct(column.values)
    groups = {text: np.arange(len(texts)) == place for place, text in enumerate(texts)}
    return _codes(column, most=MOST_GROUPS), groups


def _codes(column: Column, *, most: int) -> Ints:
    """Numbers the rows by their value in sorted order; -1 for none."""
    texts = distinct(column.values)
    if len(texts) > most:
        raise InputError(
            f"{column.file}: column `{column.name}` has {len(texts)} values, too many for a group "
            f"each (at most {most}); name values or a threshold, or group them into bands first"
        )
    places = pc.index_in(column.values, value_set=pa.array(texts, pa.string()))
    return np.asarray(pc.fill_null(places, -1), dtype=np.int64)
