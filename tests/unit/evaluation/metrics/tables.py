"""Counts for the tests of the bias metrics."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from hypothesis import strategies as st

from sashiko.bias.metrics.clarify_metrics import METRICS
from sashiko.evaluation.metrics.arrays import Bools
from sashiko.evaluation.metrics.counts import Counts, tabulate

BINARY = np.array([False, True])
DISTANCES = ("KL", "JS", "LP", "TVD", "KS")


def counts(cells: Any, *, positive: Sequence[bool] = (False, True), **more: Any) -> Counts:
    """Makes counts of [group a, d][label][predicted], or of the same by stratum."""
    table = np.array(cells, dtype=np.int64)
    if table.ndim == 3:
        table = table[None]
    more.setdefault("stratified", len(table) > 1)
    return Counts(cells=table, positive=np.array(positive), **more)


def of_labels(*groups: Sequence[int], positive: Sequence[bool] = (False, True)) -> Counts:
    """Makes counts of groups a and d whose rows per label are given, with no predictions."""
    return counts([[[rows, 0] for rows in group] for group in groups], positive=positive)


def binary_counts(disadvantaged: Bools, labels: Bools, predicted: Bools) -> Counts:
    """Counts two groups of rows whose labels are positive or not; all shapes (rows,)."""
    table = tabulate(
        disadvantaged.astype(np.int64),
        labels.astype(np.int64),
        predicted,
        values=2,
        positive=BINARY,
    )
    return table.one_vs_rest(BINARY)


@st.composite
def drawn_counts(draw: st.DrawFn, *, least: int = 1, most: int = 50) -> Counts:
    """Draws counts of up to three strata and of two to four labels."""
    strata, labels = draw(st.integers(1, 3)), draw(st.integers(2, 4))
    size = strata * 2 * labels * 2
    cells = draw(st.lists(st.integers(least, most), min_size=size, max_size=size))
    positive = draw(st.integers(1, labels - 1))
    return Counts(
        cells=np.array(cells, dtype=np.int64).reshape(strata, 2, labels, 2),
        positive=np.arange(labels) >= positive,
        stratified=True,
    )


def names(*, without: Sequence[str] = ()) -> list[str]:
    return [name for name in METRICS if name not in without]
