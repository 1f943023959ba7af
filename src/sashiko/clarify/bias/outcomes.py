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
from sashiko.clarify.bias.probabilities import decided
from sashiko.errors import InputError
from sashiko.evaluation.metrics.arrays import Bools, Ints

_LABEL_VALUES = "label_values_or_threshold"


@dataclass(frozen=True)
class Outcomes:
    """What happened to each row, and what was predicted.

    Attributes:
        name: the positive label as Clarify writes it: values joined by commas, or an interval.
        positive: which of the labels, in sorted order, are the positive one, shape (labels,); where
            a threshold decides there are two.
        labels: each row's place among them, shape (rows,).
        predicted: whether it is predicted positive, shape (rows,); None where nothing is predicted.
    """

    name: str
    positive: Bools
    labels: Ints
    predicted: Bools | None


def outcomes(config: AnalysisConfig, data: Dataset) -> Outcomes:
    """Sorts labels and predictions.

    Raises:
        InputError: if no label is positive, labels or predictions are no categories, a prediction
            is a label that never occurs, or a probability is outside 0 to 1.
    """
    column = data.label.values
    positive = criterion(column, config.label_values_or_threshold, key=_LABEL_VALUES)
    if positive.values is None:
        return _of_numbers(config, data, positive)
    found = _categories(data.label)
    if not any(positive.has(text) for text in found):
        raise InputError(
            f"{data.label.file}: no row of column `{data.label.name}` has {positive.name} "
            f"(`{_LABEL_VALUES}`); its values are {', '.join(found)}"
        )
    places = pc.index_in(column, value_set=pa.array(found, pa.string()))
    return Outcomes(
        name=positive.name,
        positive=np.array([positive.has(text) for text in found]),
        labels=np.asarray(places, dtype=np.int64),
        predicted=_predicted(config, data, found=found, positive=positive),
    )


def _of_numbers(config: AnalysisConfig, data: Dataset, positive: Criterion) -> Outcomes:
    """Makes two categories of labels that are numbers, and of predictions of the same kind."""
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
    config: AnalysisConfig, data: Dataset, *, found: Sequence[str], positive: Criterion
) -> Bools | None:
    """Says which predictions are positive, where 1.0 is the label `1`."""
    if data.predicted is None:
        return None
    column = decided(data.predicted, config.probability_threshold, counts=data.counts)
    chosen, strange = [], []
    for text in _categories(column):
        equal = [name for name in found if _equal(name, text)]
        if positive.has(text) or any(positive.has(name) for name in equal):
            chosen.append(text)
        elif not equal:
            strange.append(text)
    if strange:
        raise InputError(
            f"{column.file}: column `{column.name}` has {', '.join(strange)}, which column "
            f"`{data.label.name}` never has; both must use the same values"
        )
    return np.asarray(pc.is_in(column.values, pa.array(chosen, pa.string())), dtype=np.bool_)


def _equal(one: str, other: str) -> bool:
    return one == other or (as_number(one) is not None and as_number(one) == as_number(other))


def _categories(column: Column) -> list[str]:
    found = distinct(column.values)
    if len(found) > MOST_GROUPS:
        raise InputError(
            f"{column.file}: column `{column.name}` has {len(found)} values, too many for "
            f"a category (at most {MOST_GROUPS}); give a threshold, or group them into bands first"
        )
    return found
