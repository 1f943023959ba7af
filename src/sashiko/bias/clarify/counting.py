"""Counts the rows of a data set by each group of its facets, label and prediction."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sashiko.bias.clarify.analysis import joined
from sashiko.bias.clarify.config import AnalysisConfig, FacetConfig
from sashiko.bias.clarify.criteria import MOST_GROUPS, distinct, rows_with
from sashiko.bias.clarify.dataset import Column, Dataset
from sashiko.bias.clarify.outcomes import Outcomes, outcomes
from sashiko.errors import InputError
from sashiko.evaluation.metrics.arrays import Bools, Ints
from sashiko.evaluation.metrics.counts import Counts, tabulate

_MOST_STRATA = 1000


@dataclass(frozen=True)
class GroupCounts:
    """The counts of a whole analysis."""

    label: str  # the label's column
    outcomes: Outcomes  # each row's label and prediction, and which labels are the positive ones
    strata: Ints | None  # index of each row's group-variable value, shape (rows,); None without one
    # Facet -> group -> counts of the group and of all other rows.
    facets: Mapping[str, Mapping[str, Counts]]


def count_groups(config: AnalysisConfig, data: Dataset) -> GroupCounts:
    """Counts each group that the configuration compares with everyone else.

    Raises:
        InputError: as `outcomes` and `count_facets` do.
    """
    row_outcomes = outcomes(config, data)
    strata = None if data.group is None else _codes(data.group, most=_MOST_STRATA)
    facets = count_facets(config, data.facets, row_outcomes, strata=strata, counts=data.counts)
    return GroupCounts(data.label.name, row_outcomes, strata, facets)


def count_facets(
    config: AnalysisConfig,
    columns: Sequence[Column],
    row_outcomes: Outcomes,
    *,
    strata: Ints | None = None,
    counts: Ints | None = None,
) -> dict[str, dict[str, Counts]]:
    """Counts the groups of each facet whose labels and predictions are known already.

    A facet's group is the one in the configuration, or else each value in turn. Rows without a
    value belong to no group and are counted as missing.

    Args:
        config: names the groups.
        columns: the facets, in the configuration's order.
        row_outcomes: each row's label and prediction.
        strata: index of each row's group-variable value, shape (rows,); None without one.
        counts: how many rows each row stands for, shape (rows,); None for one each.

    Returns:
        Facet -> group -> counts of the group and of all other rows.

    Raises:
        InputError: if a column has too many values for a category.
    """
    facets = {}
    for facet, column in zip(config.facet, columns, strict=True):
        codes, groups = _groups(facet, column)
        table = tabulate(
            codes,
            row_outcomes.labels,
            row_outcomes.predicted,
            values=max(2, len(groups)),
            positive=row_outcomes.positive,
            strata=strata,
            counts=counts,
        )
        facets[column.name] = {name: table.one_vs_rest(mask) for name, mask in groups.items()}
    return facets


def _groups(facet: FacetConfig, column: Column) -> tuple[Ints, dict[str, Bools]]:
    """Returns each row's value code, -1 for none, and a mask of codes per group."""
    if values := facet.value_or_threshold:
        codes = rows_with(column.values, values).astype(np.int64)
        codes[np.asarray(pc.is_null(column.values))] = -1
        return codes, {joined(values): np.array([False, True])}
    texts = distinct(column.values)
    groups = {text: np.arange(len(texts)) == index for index, text in enumerate(texts)}
    return _codes(column, most=MOST_GROUPS), groups


def _codes(column: Column, *, most: int) -> Ints:
    """Returns each row's value code in sorted order; -1 for none."""
    texts = distinct(column.values)
    if len(texts) > most:
        raise InputError(
            f"{column.file}: column `{column.name}` has {len(texts)} values, too many for a group "
            f"each (at most {most}); name values, or group them into bands first"
        )
    indices = pc.index_in(column.values, value_set=pa.array(texts, pa.string()))
    return np.asarray(pc.fill_null(indices, -1), dtype=np.int64)
