"""The audit: rows drawn at random for a person to label, and what they say of all answers.

Only drawn rows judge a model. Labels that arrive on their own are those of the cases that somebody
looked at, and their accuracy is that of such cases.

All answers of a period have the same chance to be drawn, not those that were decided positive a
higher one. So each share is a plain one: of the drawn rows with a positive label, those that were
decided positive are a binomial count with the true recall, and the test needs no weights. Drawing
more of the positive decisions would find more wrong ones among them, and fewer of the cases that
were missed, which are decided negative.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from sashiko.evaluation.metrics.arrays import Floats, Ints
from sashiko.evaluation.metrics.calibration import wilson_interval
from sashiko.evaluation.metrics.quality import Confusion
from sashiko_packs.monitoring.quality import AuditedMeasure, AuditedPeriod

BALANCED_ACCURACY: Final = "balanced accuracy"


@dataclass(frozen=True)
class Measure:
    """A share of rows that the audit tests."""

    rows: str  # what the rows are that it is a share of
    rows_needed: int  # labelled ones; with fewer it is not judged
    budget: float  # its part of the audit's false alarms


# Balanced accuracy is the mean of recall and specificity, so it cannot fall below the mean of what
# is tolerated of both unless one of them does: their tests are its test.
MEASURES: Final[Mapping[str, Measure]] = {
    "accuracy": Measure("audited labels", 100, 0.7),
    "recall": Measure("audited rows labelled positive", 30, 0.1),
    "specificity": Measure("audited rows labelled negative", 30, 0.1),
    "precision": Measure("audited rows decided positive", 30, 0.1),
}


def draw_positions(count: int, *, rows: int, seed: int) -> Ints:
    """Draws the rows of a window that are to be labelled, all with the same probability.

    Args:
        count: rows of the window, in an order that does not depend on how they were read.
        rows: to draw; of a smaller window all are taken.
        seed: of the draw; equal counts and seeds give equal rows.

    Returns:
        Positions from 0 to count - 1, sorted, shape (min(rows, count),).
    """
    chosen = np.random.default_rng(seed).choice(count, min(rows, count), replace=False)
    return np.sort(chosen)


def right_and_wrong(measure: str, counts: Confusion) -> tuple[int, int]:
    """Counts the rows that a measure is a share of: those decided right, and wrong."""
    tp, fp = counts.true_positives, counts.false_positives
    fn, tn = counts.false_negatives, counts.true_negatives
    return {
        "accuracy": (tp + tn, fp + fn),
        "recall": (tp, fn),
        "specificity": (tn, fp),
        "precision": (tp, fp),
    }[measure]


def estimate_measure(
    measure: str, periods: Sequence[AuditedPeriod], *, held_out: tuple[int, int] | None
) -> AuditedMeasure:
    """Estimates a measure of all answers from the drawn rows that are labelled.

    Rows count by the inverse of their probability (J. Hajek, in Foundations of statistical
    inference, 1971, 236), so periods of different sizes can be pooled. The interval is Wilson's on
    the effective number of rows (L. Kish, Survey sampling, 1965, 11.7). Of rows without a label it
    knows nothing: `worst` and `best` are the value if all of them were decided wrong, and right.

    Args:
        measure: a key of `MEASURES`.
        periods: closed ones.
        held_out: rows of the version's test split that the measure is a share of: those decided
            right, and wrong; None if unknown.

    Returns:
        The estimate; without a value of fewer labelled rows than the measure needs.
    """
    counts = [right_and_wrong(measure, period.labelled) for period in periods]
    rows = sum(right + wrong for right, wrong in counts)
    known = held_out[0] / sum(held_out) if held_out and sum(held_out) else None
    if rows < MEASURES[measure].rows_needed:
        return AuditedMeasure(
            name=measure, rows=rows, value=None, low=None, high=None, worst=None, best=None,
            reference=known,
        )  # fmt: skip
    weights = np.array([period.answers / period.drawn for period in periods])
    value, effective = _weighted_share(counts, weights)
    low, high = wilson_interval(value, round(effective))
    worst, best = (
        _weighted_share(
            [right_and_wrong(measure, period.filled(right=right)) for period in periods], weights
        )[0]
        for right in (False, True)
    )
    return AuditedMeasure(
        name=measure, rows=rows, value=value, low=low, high=high, worst=worst, best=best,
        reference=known,
    )  # fmt: skip


def balance(recall: AuditedMeasure, specificity: AuditedMeasure) -> AuditedMeasure:
    """Returns the balanced accuracy, the mean of both.

    Its interval adds the squares of theirs, which are of different rows (G. Y. Zou and A. Donner,
    Construction of confidence limits about effect measures, Statistics in Medicine 27, 2008).
    """
    value, low, high = _mean(recall.value, specificity.value), None, None
    if value is not None:
        sides = [
            (part.value - part.low, part.high - part.value)
            for part in (recall, specificity)
            if part.value is not None and part.low is not None and part.high is not None
        ]
        below, above = (math.hypot(*ends) / 2 for ends in zip(*sides, strict=True))
        low, high = value - below, value + above
    return AuditedMeasure(
        name=BALANCED_ACCURACY,
        rows=recall.rows + specificity.rows,
        value=value,
        low=low,
        high=high,
        worst=_mean(recall.worst, specificity.worst),
        best=_mean(recall.best, specificity.best),
        reference=_mean(recall.reference, specificity.reference),
    )


def _mean(one: float | None, other: float | None) -> float | None:
    return None if one is None or other is None else (one + other) / 2


def _weighted_share(counts: Sequence[tuple[int, int]], weights: Floats) -> tuple[float, float]:
    """Returns the share that is right of rows with the weights of their periods; Kish's rows."""
    right, wrong = np.array(counts, dtype=np.float64).T
    total = (weights * (right + wrong)).sum()
    effective = total**2 / (weights**2 * (right + wrong)).sum()
    return float((weights * right).sum() / total), float(effective)
