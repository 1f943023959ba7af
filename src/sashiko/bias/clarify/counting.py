"""Counts the rows of a data set by each group of its facets, label and prediction.

A configured value is a text, or 0 or 1 as the code of a label. Clarify takes other numbers for
values, thresholds or ranges by the share of distinct values, so one configuration can select
another group when rows are added; they are refused.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sashiko.bias.clarify.analysis import AnalysisConfig, Value, joined
from sashiko.bias.clarify.dataset import Column, Dataset
from sashiko.errors import InputError
from sashiko.evaluation.metrics.arrays import Bools, Ints
from sashiko.evaluation.metrics.counts import Counts, tabulate

MOST_GROUPS = 50
_MOST_STRATA = 1000


def rows_with(column: pa.ChunkedArray, values: Sequence[Value]) -> Bools:
    """Returns which rows of strings have one of the values, shape (rows,); null has none."""
    matches = [text for text in distinct(column) if is_one_of(text, values)]
    return np.asarray(pc.is_in(column, pa.array(matches, pa.string())), dtype=np.bool_)


def distinct(column: pa.ChunkedArray) -> list[str]:
    """Returns the column's values, sorted, without null."""
    return sorted(pc.unique(column.drop_null()).to_pylist())


def is_one_of(text: str, values: Sequence[Value]) -> bool:
    """Returns whether a text is one of the values."""
    return any(same(text, value) for value in values)


def same(text: str, value: Value) -> bool:
    """Returns whether a value of the data equals a configured one; 1 equals `1` and `1.0`."""
    return text == str(value) or (not isinstance(value, str) and as_number(text) == value)


def as_number(text: str) -> float | None:
    """Parses a number; None if the text is not one."""
    try:
        return float(text)
    except ValueError:
        return None


@dataclass(frozen=True)
class Outcomes:
    """The label and the prediction of each row."""

    name: str  # the positive label as Clarify writes it: values joined by commas
    positive: Bools  # which of the labels, in sorted order, are the positive one, shape (labels,)
    labels: Ints  # index of each row's label among them, shape (rows,)
    # Whether it is predicted positive, shape (rows,); None without predictions.
    predicted: Bools | None


def outcomes(config: AnalysisConfig, data: Dataset) -> Outcomes:
    """Classifies labels and predictions as positive or negative.

    Raises:
        InputError: if no label is positive, labels or predictions have too many values, or a
            prediction is not one of the labels.
    """
    values = config.label_values_or_threshold
    categories = _categories(data.label)
    positive = np.array([is_one_of(text, values) for text in categories])
    if not positive.any():
        raise InputError(
            f"{data.label.file}: no row of column `{data.label.name}` has {joined(values)} "
            f"(`label_values_or_threshold`); its values are {', '.join(categories)}"
        )
    indices = pc.index_in(data.label.values, value_set=pa.array(categories, pa.string()))
    return Outcomes(
        name=joined(values),
        positive=positive,
        labels=np.asarray(indices, dtype=np.int64),
        predicted=_predicted(data, categories=categories, positive=values),
    )


def _predicted(
    data: Dataset, *, categories: Sequence[str], positive: Sequence[Value]
) -> Bools | None:
    """Returns which predictions are positive; 1.0 equals the label `1`."""
    column = data.predicted
    if column is None:
        return None
    positive_texts, unknown = [], []
    for text in _categories(column):
        number = as_number(text)
        matches = [
            name
            for name in categories
            if name == text or (number is not None and as_number(name) == number)
        ]
        if is_one_of(text, positive) or any(is_one_of(name, positive) for name in matches):
            positive_texts.append(text)
        elif not matches:
            unknown.append(text)
    if unknown:
        raise InputError(
            f"{column.file}: column `{column.name}` has {', '.join(unknown)}, which column "
            f"`{data.label.name}` never has; both must use the same values"
        )
    values = pa.array(positive_texts, pa.string())
    return np.asarray(pc.is_in(column.values, values), dtype=np.bool_)


def _categories(column: Column) -> list[str]:
    values = distinct(column.values)
    if len(values) > MOST_GROUPS:
        raise InputError(
            f"{column.file}: column `{column.name}` has {len(values)} values, too many for "
            f"a category (at most {MOST_GROUPS}); group them into bands first"
        )
    return values


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
    value belong to no group and are counted as missing. `columns` are the facets, in the
    configuration's order; `strata` is the index of each row's group-variable value and `counts` how
    many rows it stands for, shapes (rows,).

    Returns:
        Facet -> group -> counts of the group and of all other rows.

    Raises:
        InputError: if a column has too many values for a category.
    """
    facets = {}
    for facet, column in zip(config.facet, columns, strict=True):
        if values := facet.value_or_threshold:
            codes = rows_with(column.values, values).astype(np.int64)
            codes[np.asarray(pc.is_null(column.values))] = -1
            groups = {joined(values): np.array([False, True])}
        else:
            texts = distinct(column.values)
            codes = _codes(column, most=MOST_GROUPS)
            groups = {text: np.arange(len(texts)) == index for index, text in enumerate(texts)}
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
