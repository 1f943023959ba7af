"""Labels and predictions of an analysis as categories, and which of them are the positive ones."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sashiko.bias.clarify.analysis import joined
from sashiko.bias.clarify.config import AnalysisConfig, Value
from sashiko.bias.clarify.criteria import MOST_GROUPS, as_number, distinct, is_one_of
from sashiko.bias.clarify.dataset import Column, Dataset
from sashiko.errors import InputError
from sashiko.evaluation.metrics.arrays import Bools, Ints


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
        matches = [name for name in categories if _equal(name, text)]
        if is_one_of(text, positive) or any(is_one_of(name, positive) for name in matches):
            positive_texts.append(text)
        elif not matches:
            unknown.append(text)
    if unknown:
        raise InputError(
            f"{column.file}: column `{column.name}` has {', '.join(unknown)}, which column "
            f"`{data.label.name}` never has; both must use the same values"
        )
    return np.asarray(
        pc.is_in(column.values, pa.array(positive_texts, pa.string())), dtype=np.bool_
    )


def _equal(one: str, other: str) -> bool:
    return one == other or (as_number(one) is not None and as_number(one) == as_number(other))


def _categories(column: Column) -> list[str]:
    values = distinct(column.values)
    if len(values) > MOST_GROUPS:
        raise InputError(
            f"{column.file}: column `{column.name}` has {len(values)} values, too many for "
            f"a category (at most {MOST_GROUPS}); group them into bands first"
        )
    return values
