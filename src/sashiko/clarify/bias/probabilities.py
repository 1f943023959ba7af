"""Turns predicted probabilities into labels as Clarify does: 1 above the threshold, else 0."""

import sys
from dataclasses import replace

import numpy as np
import pyarrow as pa

from sashiko.clarify.bias.criteria import as_numbers
from sashiko.clarify.bias.dataset import Column
from sashiko.errors import InputError
from sashiko.evaluation.metrics.arrays import Ints

_DEFAULT_THRESHOLD = 0.5


def apply_threshold(
    column: Column, threshold: float | None, *, counts: Ints | None = None
) -> Column:
    """Turns probabilities into labels.

    Args:
        column: predictions, without nulls.
        threshold: `probability_threshold`. Without it, numbers with a fraction are probabilities
            with Clarify's default threshold, 0.5, which is reported on stderr.
        counts: how many rows each value stands for; None if each stands for one.

    Returns:
        Labels `1` and `0`; the column itself where it holds no probabilities.

    Raises:
        InputError: if a threshold is applied to texts, or a probability is outside 0 to 1.
    """
    scores = as_numbers(column.values)
    if threshold is None:
        if scores is None or bool((scores == np.floor(scores)).all()):
            return column
        threshold = _DEFAULT_THRESHOLD
        print(
            f"{column.file}: column `{column.name}` holds probabilities: above {threshold} "
            "counts as 1, which `probability_threshold` changes",
            file=sys.stderr,
        )
    if scores is None:
        raise InputError(
            f"{column.file}: column `{column.name}` holds texts, not probabilities; leave "
            "`probability_threshold` out"
        )
    outside = (scores < 0) | (scores > 1)
    if outside.any():
        rows = np.ones(len(scores), dtype=np.int64) if counts is None else counts
        raise InputError(
            f"{column.file}: column `{column.name}` has {rows[outside].sum()} values of "
            f"{rows.sum()} outside 0 to 1"
        )
    labels = pa.array(np.where(scores > threshold, "1", "0"), pa.string())
    return replace(column, values=pa.chunked_array([labels]))
