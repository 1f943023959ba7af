"""Selective classification: a model of several classes answers only rows of which it is sure.

A row's confidence is the probability of its most probable class, which is given if the confidence
reaches a threshold (C. K. Chow, On Optimum Recognition Error and Reject Tradeoff, IEEE Transactions
on Information Theory 16, 1970). The coverage is the share of rows that are answered, the selective
accuracy the share of those that are right; both by threshold are the coverage curve (R. El-Yaniv
and Y. Wiener, On the Foundations of Noise-free Selective Classification, JMLR 11, 2010).
"""

from dataclasses import dataclass

import numpy as np

from sashiko.evaluation.metrics.arrays import Floats, Ints, ModelScores, ratio
from sashiko.evaluation.metrics.calibration import share_estimate
from sashiko.evaluation.metrics.uncertainty import Estimate, estimate, resampled_weights

FEWEST_ANSWERS = 30  # rows, to choose a threshold by
_POINTS = 20  # of a curve


@dataclass(frozen=True)
class CoveragePoint:
    """A point of the coverage curve."""

    threshold: float  # the lowest confidence that is answered
    coverage: float  # share of rows that are answered
    accuracy: Estimate  # share of those that are right, with Wilson's 95 % interval


@dataclass(frozen=True)
class Selective:
    """Which rows a model answers, and how well, on some rows."""

    metrics: dict[str, Estimate]  # `coverage`, `selective_accuracy` and `aurc`
    curve: tuple[CoveragePoint, ...]  # by ascending coverage, about evenly spaced
    classes: tuple[Estimate, ...]  # share of each class's rows that are answered, Wilson's interval


def measure_selective(labels: Ints, model: ModelScores, *, replicates: int, seed: int) -> Selective:
    """Measures a model of more than two classes that answers from its threshold on.

    The coverage and the selective accuracy have Wilson's interval, that of the accuracy given the
    number of answers; without any it is undefined. `aurc`, the area under the risk-coverage curve,
    does not depend on the threshold: it is the mean over rows of the share of wrong answers if only
    rows of at least that row's confidence were answered, 0 to 1, lower is better (Y. Geifman,
    G. Uziel and R. El-Yaniv, Bias-Reduced Uncertainty Estimation for Deep Neural Classifiers, ICLR
    2019), with a bootstrap interval. Labels are indices of classes, shape (rows,).
    """
    right, answered, confidence = model.predicted == labels, model.answered, model.scores.max(1)
    order = np.argsort(-confidence, kind="stable")
    descending, wrong = confidence[order], (~right)[order].astype(np.float64)
    # Rows of one confidence are answered together: the last of them in the order.
    last = len(order) - 1 - np.searchsorted(descending[::-1], descending, side="left")

    def area(weights: Floats) -> Floats:
        drawn = weights[:, order]
        risks = ratio(np.cumsum(drawn * wrong, axis=1), np.cumsum(drawn, axis=1))[:, last]
        # Rows before the first one drawn have no risk, and no weight.
        return np.asarray((drawn * np.nan_to_num(risks)).sum(axis=1) / drawn.sum(axis=1))

    blocks = resampled_weights(len(labels), replicates=replicates, seed=seed)
    draws = np.concatenate([area(weights) for weights in blocks])
    counts = -(-len(labels) * np.arange(1, _POINTS + 1) // _POINTS)
    points = [(at, confidence >= at) for at in np.unique(descending[counts - 1])[::-1]]
    return Selective(
        metrics={
            "coverage": share_estimate(answered),
            "selective_accuracy": share_estimate(right[answered]),
            "aurc": estimate(float(area(np.ones((1, len(labels))))[0]), draws),
        },
        curve=tuple(
            CoveragePoint(float(at), float(rows.mean()), share_estimate(right[rows]))
            for at, rows in points
        ),
        classes=tuple(share_estimate(answered[labels == at]) for at in range(model.classes)),
    )


def choose_abstention(labels: Ints, scores: Floats, *, accuracy: float) -> float:
    """Returns the lowest threshold at which this share of the answers is right.

    Call it on validation rows only. A threshold that leaves fewer than `FEWEST_ANSWERS` answers is
    not chosen. If none reaches the accuracy, it is the one that comes nearest.
    """
    confidence, right = scores.max(axis=1), scores.argmax(axis=1) == labels
    order = np.argsort(-confidence, kind="stable")
    descending, answers = confidence[order], np.arange(1, len(order) + 1)
    reached = np.cumsum(right[order]) / answers
    # Rows of one confidence are answered together.
    able = np.append(descending[1:] != descending[:-1], True)
    able &= answers >= min(FEWEST_ANSWERS, len(order))
    good = np.flatnonzero(able & (reached >= accuracy))
    last = int(good[-1]) if len(good) else int(np.where(able, reached, -1.0).argmax())
    # Between two confidences, as those of a compiled model may differ in their last bits.
    return 0.0 if last == len(order) - 1 else float(descending[last : last + 2].mean())
