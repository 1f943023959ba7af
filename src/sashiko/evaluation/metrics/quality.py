"""Metrics of a binary classifier's scores, with bootstrap intervals and paired differences.

Every metric is a function of row weights, so the same code computes the value (all weights 1) and
its bootstrap replicates (weights: the number of draws of a row).

Labels are 0 or 1, int64; scores are P(label = 1), float64 in [0, 1]; both of shape (rows,). A row
is predicted positive if its score >= the threshold.
"""

from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

import numpy as np

from sashiko.evaluation.metrics.arrays import Floats, Ints, ModelScores
from sashiko.evaluation.metrics.own_metrics import OwnMetrics, own_statistics
from sashiko.evaluation.metrics.resampled import resample, resample_statistics
from sashiko.evaluation.metrics.scored import threshold_metrics
from sashiko.evaluation.metrics.uncertainty import Estimate

METRICS = (
    "accuracy", "balanced_accuracy", "precision", "recall", "f1", "auc", "average_precision",
    "brier_score", "expected_calibration_error",
)  # fmt: skip
_NONE: OwnMetrics = MappingProxyType({})

ThresholdMetric = Literal["accuracy", "balanced_accuracy", "f1"]


@dataclass(frozen=True)
class Confusion:
    """Counts of rows by label and prediction."""

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
    - precision: TP / (TP + FP), 0 to 1; undefined if no row is predicted positive.
    - recall: TP / (TP + FN), 0 to 1.
    - f1: 2 TP / (2 TP + FP + FN), 0 to 1.
    - auc: P(a positive row's score > a negative row's) + half the ties, 0 to 1 (the Mann-Whitney
      statistic; Hanley and McNeil, Radiology 143, 1982).
    - average_precision: the precision at each distinct score, weighted by the share of the positive
      rows that have it, 0 to 1 (scikit-learn, `average_precision_score`). Of scores that say
      nothing it is about the share of positive rows.
    - brier_score: mean of (score - label)^2, 0 to 1, lower is better (Brier, 1950).
    - expected_calibration_error: over 15 bins with about as many rows each, the mean over rows of
      |mean score - share of positives| of the row's bin, 0 to 1, lower is better (Naeini et al.,
      AAAI 2015, on the score of the positive class). It is biased upwards by chance, the more so
      with few rows (`calibration.error_by_chance`). Bins are those of the original rows. Its
      interval is the basic one (Efron and Tibshirani, 13.4: percentiles mirrored at the value),
      since each resample adds the same bias again.

    Args:
        labels: 0 or 1, at least one row.
        scores: P(label = 1).
        threshold: rows with at least this score are predicted positive.
        replicates: the number of bootstrap resamples.
        seed: of the bootstrap.
        own: a project's metrics, which are estimated on the same resamples.

    Returns:
        Metric name -> estimate; its value is None if the metric is undefined, such as AUC when all
        labels are equal.
    """
    (resampled,) = resample(
        labels, [ModelScores(scores, threshold)], replicates=replicates, seed=seed, own=own
    )
    return resampled.estimates()


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

    Differences are paired by row: two models fail on the same difficult rows, so the interval of
    their difference is narrower than their two intervals suggest.

    Args:
        labels: 0 or 1, at least one row.
        scores: P(label = 1) of the model.
        other: P(label = 1) of the model that it is compared with, on the same rows.
        threshold: of `scores`.
        other_threshold: of `other`.
        replicates: the number of bootstrap resamples.
        seed: of the bootstrap.
        own: a project's metrics.

    Returns:
        Metric name -> estimate of the lead. Above 0, `scores` is better: the sign is inverted for
        metrics whose lower values are better (`LOWER_IS_BETTER`, or a project's metric).
    """
    models = [ModelScores(scores, threshold), ModelScores(other, other_threshold)]
    ours, theirs = resample(labels, models, replicates=replicates, seed=seed, own=own)
    return ours.lead(theirs, own)


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
    """Estimates only a project's metrics, and the leads in them over another model.

    See `difference` for the arguments.
    """
    models = [
        own_statistics(own, labels, scores, threshold=threshold),
        own_statistics(own, labels, other, threshold=other_threshold),
    ]
    ours, theirs = resample_statistics(models, rows=len(labels), replicates=replicates, seed=seed)
    return ours.estimates(), ours.lead(theirs, own)


def choose_threshold(labels: Ints, scores: Floats, *, metric: ThresholdMetric) -> float:
    """Returns the threshold with the highest `metric`; call it on validation rows only.

    Candidates are the midpoints between adjacent distinct scores, including 0 and 1. Ties go to the
    candidate nearest to 0.5, then to the lower one.
    """
    edges = np.unique(np.concatenate([[0.0, 1.0], scores]))
    candidates = (edges[:-1] + edges[1:]) / 2
    quality = threshold_metrics(*_confusion_at(labels, scores, candidates))[metric]
    best = candidates[quality >= np.nanmax(quality) - 1e-12]
    return float(min(best, key=lambda threshold: (abs(threshold - 0.5), threshold)))


def _confusion_at(labels: Ints, scores: Floats, thresholds: Floats) -> tuple[Floats, ...]:
    """Returns TP, FP, FN, TN per threshold, each of shape (thresholds,)."""
    positives, negatives = np.sort(scores[labels == 1]), np.sort(scores[labels == 0])
    fn = np.searchsorted(positives, thresholds, side="left").astype(np.float64)
    tn = np.searchsorted(negatives, thresholds, side="left").astype(np.float64)
    return len(positives) - fn, len(negatives) - tn, fn, tn
