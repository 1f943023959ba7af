"""The audit of a window: rows drawn at random for a person to label, and the accuracy on them.

Only drawn rows judge a model. Labels that arrive on their own are those of the cases that somebody
looked at, and their accuracy is that of such cases.
"""

import numpy as np

from sashiko.core.yaml_models import Frozen
from sashiko.evaluation.metrics.arrays import Bools, Floats, Ints
from sashiko.evaluation.metrics.calibration import wilson_interval
from sashiko.evaluation.metrics.uncertainty import Estimate

LABELS_NEEDED = 100
# Of the drawn rows; those without a label may be the hard ones.
LEAST_LABELLED = 0.9


class AuditedAccuracy(Frozen):
    """The share of right decisions of a window, or of several, from the labels of drawn rows."""

    drawn: int  # rows that were drawn
    labelled: int  # those of them with a label
    value: float | None  # the estimate for all rows; None of too few labels, for `reason`
    low: float | None  # lower end of its 95 % interval
    high: float | None  # upper end
    reason: str = ""  # why there is no estimate; else empty


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


def enough_labels(drawn: int) -> int:
    """Returns how many of a period's drawn rows need a label before the others may be left out."""
    return max(1, int(np.ceil(drawn * LEAST_LABELLED)))


def audited_accuracy(right: Bools, probabilities: Floats, *, drawn: int) -> AuditedAccuracy:
    """Estimates the accuracy on all rows, from those that were drawn and labelled.

    Rows count by the inverse of their probability (J. Hajek, in Foundations of statistical
    inference, 1971, 236), so windows of different sizes can be pooled. The interval is Wilson's on
    the effective number of rows (L. Kish, Survey sampling, 1965, 11.7).

    Args:
        right: whether each labelled row was decided as labelled, shape (labelled,).
        probabilities: the recorded ones of the same rows.
        drawn: how many rows were drawn, with or without a label by now.

    Returns:
        The estimate; none if fewer than 9 in 10 of the drawn rows, or fewer than 100, are labelled.
    """
    labelled = len(right)
    needed = max(LABELS_NEEDED, enough_labels(drawn))
    if labelled < needed:
        reason = f"{labelled:,} of {drawn:,} drawn rows are labelled, {needed:,} are needed"
        return AuditedAccuracy(
            drawn=drawn, labelled=labelled, value=None, low=None, high=None, reason=reason
        )
    estimate = _weighted_share(right, 1 / probabilities)
    return AuditedAccuracy(
        drawn=drawn,
        labelled=labelled,
        value=estimate.value,
        low=estimate.low,
        high=estimate.high,
    )


def _weighted_share(right: Bools, weights: Floats) -> Estimate:
    share = float(weights[right].sum() / weights.sum())
    effective = float(weights.sum() ** 2 / (weights**2).sum())
    low, high = wilson_interval(share, round(effective))
    return Estimate(value=share, low=low, high=high)
