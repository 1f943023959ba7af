"""Metrics of a binary classifier's scores, with bootstrap intervals and paired differences.

Every metric is computed from row weights, so the value (all weights 1) and its bootstrap
replicates (weights: how often a row was drawn) come from the same lines.

Labels are 0 or 1, int64; scores are P(label = 1), float64 in [0, 1]; both of shape (rows,). A row
is predicted positive if its score >= the threshold.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Literal

import numpy as np

from sashiko.evaluation.metrics.arrays import Floats, Ints
from sashiko.evaluation.metrics.own import OwnMetrics, own_statistics
from sashiko.evaluation.metrics.scored import Scored, threshold_metrics
from sashiko.evaluation.metrics.uncertainty import Estimate, estimate, resampled_weights

METRICS = (
    "accuracy", "balanced_accuracy", "f1", "auc", "brier_score", "expected_calibration_error",
)  # fmt: skip
LOWER_IS_BETTER = frozenset({"brier_score", "expected_calibration_error"})
# Chance adds to it, and resampling adds that once more.
_BIASED = "expected_calibration_error"

_NONE: OwnMetrics = MappingProxyType({})
_Statistics = Callable[[Floats], dict[str, Floats]]

ThresholdMetric = Literal["accuracy", "balanced_accuracy", "f1"]


@dataclass(frozen=True)
class Confusion:
    """How many rows of each label were predicted which way."""

    true_positives: int
    false_positives: int
    false_negatives: int
    true_negatives: int


def confusion(labels: Ints, scores: Floats, *, threshold: float) -> Confusion:
    """Counts the rows by label and prediction."""
    predicted = scores >= threshold
    positive = labels == 1
    return Confusion(
        true_positives=int(np.sum(positive & predicted)),
        false_positives=int(np.sum(~positive & predicted)),
        false_negatives=int(np.sum(positive & ~predicted)),
        true_negatives=int(np.sum(~positive & ~predicted)),
    )


def evaluate_scores(
    labels: Ints,
    scores: Floats,
    *,
    threshold: float,
    replicates: int,
    seed: int,
    own: OwnMetrics = _NONE,
) -> dict[str, Estimate]:
    """Computes every metric of `METRICS` with its 95 % bootstrap interval over rows.

    - accuracy: share of rows predicted right, 0 to 1.
    - balanced_accuracy: mean of the true positive and the true negative rate, 0 to 1.
    - f1: 2 TP / (2 TP + FP + FN), 0 to 1.
    - auc: P(a positive row's score > a negative row's) + half the ties, 0 to 1 (the Mann-Whitney
      statistic; Hanley and McNeil, Radiology 143, 1982).
    - brier_score: mean of (score - label)^2, 0 to 1, lower is better (Brier, 1950).
    - expected_calibration_error: over 15 bins with about as many rows each, the mean over rows of
      |mean score - share of positives| of the row's bin, 0 to 1, lower is better (Naeini et al.,
      AAAI 2015, on the score of the positive class). It is biased upwards: with few rows chance
      alone makes it (`calibration.error_by_chance`). Bins are those of the rows as they are. Its
      interval is the basic one (Efron and Tibshirani, 13.4: percentiles mirrored at the value),
      as each resample adds the same bias again.

    Args:
        labels: 0 or 1, at least one row.
        scores: P(label = 1).
        threshold: from which score on a row is predicted positive.
        replicates: how many bootstrap resamples.
        seed: of the bootstrap.
        own: a project's metrics, which are estimated on the same resamples.

    Returns:
        Metric name -> estimate; its value is None where the metric is undefined, such as AUC when
        all labels are equal.
    """
    statistics = _statistics(labels, scores, threshold=threshold, own=own)
    found = _estimates(statistics, rows=len(labels), replicates=replicates, seed=seed)
    return found | {_BIASED: _above_zero(found[_BIASED])}


def difference(
    labels: Ints,
    scores: Floats,
    other: Floats,
    *,
    threshold: float,
    other_threshold: float,
    replicates: int,
    seed: int,
    own: OwnMetrics = _NONE,
) -> dict[str, Estimate]:
    """Computes the lead of `scores` over `other` in every metric, on the same resamples.

    Pairing matters: two models err on the same hard rows, so the interval of their difference is
    narrower than their two intervals let one think.

    Args:
        labels: 0 or 1, at least one row.
        scores: P(label = 1) by the model whose lead is asked for.
        other: P(label = 1) by the model that it is held against, on the same rows.
        threshold: of `scores`.
        other_threshold: of `other`.
        replicates: how many bootstrap resamples.
        seed: of the bootstrap.
        own: a project's metrics.

    Returns:
        Metric name -> estimate of the lead. More than 0 always means that `scores` is better:
        where lower is better (`LOWER_IS_BETTER`, or as a project's metric says) the sign is
        turned.
    """
    ours = _statistics(labels, scores, threshold=threshold, own=own)
    theirs = _statistics(labels, other, threshold=other_threshold, own=own)
    leads = _leads(ours, theirs, own)
    return _estimates(leads, rows=len(labels), replicates=replicates, seed=seed)


def own_estimates(
    own: OwnMetrics,
    labels: Ints,
    scores: Floats,
    other: Floats,
    *,
    threshold: float,
    other_threshold: float,
    replicates: int,
    seed: int,
) -> tuple[dict[str, Estimate], dict[str, Estimate]]:
    """Estimates a project's metrics alone, and the leads in them over another model.

    The arguments are those of `difference`.
    """
    ours = own_statistics(own, labels, scores, threshold=threshold)
    theirs = own_statistics(own, labels, other, threshold=other_threshold)
    sampling = {"rows": len(labels), "replicates": replicates, "seed": seed}
    return _estimates(ours, **sampling), _estimates(_leads(ours, theirs, own), **sampling)


def choose_threshold(labels: Ints, scores: Floats, *, metric: ThresholdMetric) -> float:
    """Returns the threshold with the highest `metric`, to be called on validation rows only.

    Candidates lie halfway between neighbouring distinct scores, and between the outermost scores
    and 0 and 1. Of equally good ones the one nearest to 0.5 wins, and of two equally near the
    lower one.
    """
    edges = np.unique(np.concatenate([[0.0, 1.0], scores]))
    candidates = (edges[:-1] + edges[1:]) / 2
    quality = threshold_metrics(*_confusion_at(labels, scores, candidates))[metric]
    best = candidates[quality >= np.nanmax(quality) - 1e-12]
    return float(min(best, key=lambda threshold: (abs(threshold - 0.5), threshold)))


def _statistics(labels: Ints, scores: Floats, *, threshold: float, own: OwnMetrics) -> _Statistics:
    scored = Scored.of(labels, scores, threshold=threshold)
    of_own = own_statistics(own, labels, scores, threshold=threshold)
    return lambda weights: scored.metrics(weights) | of_own(weights)


def _leads(ours: _Statistics, theirs: _Statistics, own: OwnMetrics) -> _Statistics:
    lower = LOWER_IS_BETTER | {name for name, metric in own.items() if not metric.higher_is_better}

    def leads(weights: Floats) -> dict[str, Floats]:
        us, them = ours(weights), theirs(weights)
        return {
            name: them[name] - us[name] if name in lower else us[name] - them[name] for name in us
        }

    return leads


def _estimates(
    statistics: _Statistics, *, rows: int, replicates: int, seed: int
) -> dict[str, Estimate]:
    """Evaluates statistics of weighted rows on the rows as they are and on bootstrap resamples."""
    values = statistics(np.ones((1, rows)))
    blocks = [
        statistics(weights) for weights in resampled_weights(rows, replicates=replicates, seed=seed)
    ]
    drawn = {name: np.concatenate([block[name] for block in blocks]) for name in values}
    if _BIASED in drawn:
        drawn[_BIASED] = 2 * values[_BIASED][0] - drawn[_BIASED]
    return {name: estimate(values[name][0], drawn[name]) for name in values}


def _above_zero(mirrored: Estimate) -> Estimate:
    """Holds a mirrored interval to what an error can be, and to its own value."""
    if mirrored.value is None or mirrored.low is None or mirrored.high is None:
        return mirrored
    high = max(mirrored.high, mirrored.value)
    return replace(mirrored, low=max(mirrored.low, 0.0), high=high)


def _confusion_at(labels: Ints, scores: Floats, thresholds: Floats) -> tuple[Floats, ...]:
    """Returns TP, FP, FN, TN per threshold, each of shape (thresholds,)."""
    positives, negatives = np.sort(scores[labels == 1]), np.sort(scores[labels == 0])
    fn = np.searchsorted(positives, thresholds, side="left").astype(np.float64)
    tn = np.searchsorted(negatives, thresholds, side="left").astype(np.float64)
    return len(positives) - fn, len(negatives) - tn, fn, tn
