"""Labels and predictions of an analysis as categories, and which of them are the positive ones."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sashiko.clarify.bias.config import AnalysisConfig
from sashiko.clarify.bias.criteria import (
    MOST_GROUPS,
    Criterion,
    as_number,
    as_numbers,
    criterion,
    distinct,
)
from sashiko.clarify.bias.dataset import Column, Dataset
from sashiko.clarify.bias.probabilities import apply_threshold
from sashiko.errors import InputError
from sashiko.evaluation.metrics.arrays import Bools, Ints

_LABEL_VALUES = "label_values_or_threshold"


@dataclass(frozen=True)
class Outcomes:
    """The label and the prediction of each row."""

    name: str  # the positive label as Clarify writes it: values joined by commas, or an interval
    # Which of the labels, in sorted order, are the positive one, shape (labels,); where a threshold
    # decides there are two.
    positive: Bools
    labels: Ints  # index of each row's label among them, shape (rows,)
    # Whether it is predicted positive, shape (rows,); None without predictions.
    predicted: Bools | None


def outcomes(config: AnalysisConfig, data: Dataset) -> Outcomes:
    """Classifies labels and predictions as positive or negative.

    Raises:
        InputError: if no label is positive, labels or predictions have too many values, a
            prediction is not one of the labels, or a probability is outside 0 to 1.
    """
    column = data.label.values
    positive = criterion(column, config.label_values_or_threshold, key=_LABEL_VALUES)
    if positive.values is None:
        return _numeric_outcomes(config, data, positive)
    categories = _categories(data.label)
    if not any(positive.has(text) for text in categories):
        raise InputError(
            f"{data.label.file}: no row of column `{data.label.name}` has {positive.name} "
            f"(`{_LABEL_VALUES}`); its values are {', '.join(categories)}"
        )
    indices = pc.index_in(column, value_set=pa.array(categories, pa.string()))
    return Outcomes(
        name=positive.name,
        positive=np.array([positive.has(text) for text in categories]),
        labels=np.asarray(indices, dtype=np.int64),
        predicted=_predicted(config, data, categories=categories, positive=positive),
    )


def _numeric_outcomes(config: AnalysisConfig, data: Dataset, positive: Criterion) -> Outcomes:
    """Binarises numeric labels and predictions by the threshold or range."""
    labels = positive.holds(data.label.values)
    if not labels.any():
        raise InputError(
            f"{data.label.file}: no row of column `{data.label.name}` is in {positive.name} "
            f"(`{_LABEL_VALUES}`)"
        )
    predicted = None
    if data.predicted is not None:
        if config.probability_threshold is not None or as_numbers(data.predicted.values) is None:
            raise InputError(
                f"{data.label.file}: column `{data.label.name}` is numbers with a threshold, so "
                f"column `{data.predicted.name}` must be numbers of the same kind, without "
                "`probability_threshold`"
            )
        predicted = positive.holds(data.predicted.values)
    return Outcomes(
        name=positive.name,
        positive=np.array([False, True]),
        labels=labels.astype(np.int64),
        predicted=predicted,
    )


def _predicted(
    config: AnalysisConfig, data: Dataset, *, categories: Sequence[str], positive: Criterion
) -> Bools | None:
    """Returns which predictions are positive; 1.0 equals the label `1`."""
    if data.predicted is None:
        return None
    column = apply_threshold(data.predicted, config.probability_threshold, counts=data.counts)
    positive_texts, unknown = [], []
    for text in _categories(column):
        matches = [name for name in categories if _equal(name, text)]
        if positive.has(text) or any(positive.has(name) for name in matches):
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
            f"a category (at most {MOST_GROUPS}); give a threshold, or group them into bands first"
        )
    return values
