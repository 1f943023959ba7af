"""Counts the rows of a data set by each group of its facets, label and prediction."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sashiko.clarify.config import AnalysisConfig, FacetConfig
from sashiko.clarify.criteria import MOST_GROUPS, criterion, distinct
from sashiko.clarify.dataset import Column, Dataset
from sashiko.clarify.outcomes import Outcomes, outcomes
from sashiko.errors import InputError
from sashiko.metrics.arrays import Bools, Ints
from sashiko.metrics.counts import Counts, tabulate

_MOST_STRATA = 1000


@dataclass(frozen=True)
class Counted:
    """The counts of a whole analysis.

    Attributes:
        label: the label's column.
        label_value: the positive label as Clarify writes it: values, or an interval.
        facets: facet -> group, likewise named -> its rows and everyone else's.
    """

    label: str
    label_value: str
    facets: Mapping[str, Mapping[str, Counts]]


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
    facets = {
        column.name: _groups(
            facet, column, found=found, strata=strata, key=f"facet.{index}.value_or_threshold"
        )
        for index, (facet, column) in enumerate(zip(config.facet, data.facets, strict=True))
    }
    return Counted(data.label.name, found.name, facets)


def _groups(
    facet: FacetConfig, column: Column, *, found: Outcomes, strata: Ints | None, key: str
) -> dict[str, Counts]:
    if facet.value_or_threshold:
        named = criterion(column.values, facet.value_or_threshold, key=key)
        codes = named.holds(column.values).astype(np.int64)
        codes[np.asarray(pc.is_null(column.values))] = -1
        groups: dict[str, Bools] = {named.name: np.array([False, True])}
    else:
        codes = _codes(column, most=MOST_GROUPS)
        texts = distinct(column.values)
        groups = {text: np.arange(len(texts)) == place for place, text in enumerate(texts)}
    table = tabulate(
        codes,
        found.labels,
        found.predicted,
        values=max(2, len(groups)),
        positive=found.positive,
        strata=strata,
    )
    return {name: table.against_rest(mask) for name, mask in groups.items()}


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
