"""Metrics of a binary classifier's scores, with bootstrap intervals and paired differences.

Every metric is a function of row weights, so the same code computes the value (all weights 1) and
its bootstrap replicates (weights: the number of draws of a row).

Labels are 0 or 1, int64; scores are P(label = 1), float64 in [0, 1]; both of shape (rows,). A row
is predicted positive if its score >= the threshold.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Literal

import numpy as np
import numpy.typing as npt

from sashiko.evaluation.metrics.arrays import Bools, Floats, Ints, ModelScores, ratio
from sashiko.evaluation.metrics.calibration import CALIBRATION_BINS, equal_mass_bins
from sashiko.evaluation.metrics.own_metrics import OwnMetrics, own_statistics
from sashiko.evaluation.metrics.uncertainty import (
    Estimate,
    estimate,
    resampled_counts,
    resampled_weights,
)


@dataclass(frozen=True)
class Scored:
    """Precomputed rows: the metrics of many weightings need only a few array operations."""

    cells: Floats  # shape (rows, 4), 1 in the row's column of TP, FP, FN, TN
    gaps: Floats  # shape (rows, bins), score - label in the column of the row's calibration bin
    squares: Floats  # shape (rows,), (score - label)^2
    order: npt.NDArray[np.intp]  # rows by ascending score
    starts: npt.NDArray[np.intp]  # positions in `order` at which the distinct scores begin
    positive: Floats  # labels in `order`, float64

    @classmethod
    def of(cls, labels: Ints, scores: Floats, *, threshold: float) -> "Scored":
        """Prepares rows: labels 0 or 1, scores in [0, 1], both of shape (rows,)."""
        predicted = scores >= threshold
        positive = labels == 1
        cells = [positive & predicted, ~positive & predicted, positive & ~predicted,
                 ~positive & ~predicted]  # fmt: skip
        gaps = np.zeros((len(labels), CALIBRATION_BINS))
        gaps[np.arange(len(labels)), equal_mass_bins(scores)] = scores - labels
        order = np.argsort(scores, kind="stable")
        ascending = scores[order]
        starts = np.flatnonzero(np.concatenate([[True], ascending[1:] != ascending[:-1]]))
        return cls(
            cells=np.stack(cells, axis=1).astype(np.float64),
            gaps=gaps,
            squares=(scores - labels) ** 2,
            order=order,
            starts=starts,
            positive=positive[order].astype(np.float64),
        )

    def metrics(self, weights: Floats) -> dict[str, Floats]:
        """Returns name -> values of shape (weightings,) for weights of shape (weightings, rows)."""
        counted = threshold_metrics(*(weights @ self.cells).T)
        rows = weights.sum(axis=1)
        return {
            **counted,
            **self._rank_metrics(weights),
            "brier_score": ratio(weights @ self.squares, rows),
            "expected_calibration_error": ratio(np.abs(weights @ self.gaps).sum(axis=1), rows),
        }

    def _rank_metrics(self, weights: Floats) -> dict[str, Floats]:
        ascending = weights[:, self.order]
        positives = np.add.reduceat(ascending * self.positive, self.starts, axis=1)
        negatives = np.add.reduceat(ascending, self.starts, axis=1) - positives
        below = np.cumsum(negatives, axis=1) - negatives
        wins = (positives * (below + negatives / 2)).sum(axis=1)
        all_positives = positives.sum(axis=1)
        # Of the rows with at least each distinct score.
        true_positives = _sum_from_the_right(positives)
        precisions = np.nan_to_num(
            ratio(true_positives, true_positives + _sum_from_the_right(negatives))
        )
        return {
            "auc": ratio(wins, all_positives * negatives.sum(axis=1)),
            "average_precision": ratio((positives * precisions).sum(axis=1), all_positives),
        }


def _sum_from_the_right(values: Floats) -> Floats:
    result: Floats = np.cumsum(values[:, ::-1], axis=1)[:, ::-1]
    return result


def threshold_metrics(tp: Floats, fp: Floats, fn: Floats, tn: Floats) -> Mapping[str, Floats]:
    """Returns the metrics of confusion counts, elementwise."""
    recall, specificity = ratio(tp, tp + fn), ratio(tn, tn + fp)
    return MappingProxyType(
        {
            "accuracy": ratio(tp + tn, tp + fp + fn + tn),
            "balanced_accuracy": (recall + specificity) / 2,
            "precision": ratio(tp, tp + fp),
            "recall": recall,
            "f1": ratio(2 * tp, 2 * tp + fp + fn),
        }
    )


# Models' metrics on the same bootstrap resamples: their intervals, and paired leads.
#
# A metric is a function of row weights (`scored.Scored.metrics`). Each model is evaluated once on
# every resample, which serves its own intervals and its leads over all others.


LOWER_IS_BETTER = frozenset({"brier_score", "expected_calibration_error"})


# Biased upwards by chance; resampling adds the same bias again.
_BIASED = "expected_calibration_error"


_NO_METRICS: OwnMetrics = MappingProxyType({})


Statistics = Callable[[Floats], dict[str, Floats]]  # weights -> metric -> value per weighting


@dataclass(frozen=True)
class Resampled:
    """A model's metrics on the rows and on bootstrap resamples of them; NaN if undefined."""

    values: dict[str, float]  # metric -> its value on the original rows
    draws: dict[str, Floats]  # metric -> its value on each resample, shape (replicates,)

    def estimates(self) -> dict[str, Estimate]:
        """Returns each metric with its 95 % interval: see `evaluate_scores`."""
        estimates = _estimates(self)
        if _BIASED in estimates:
            estimates[_BIASED] = _clip_interval(estimates[_BIASED])
        return estimates

    def lead(self, other: "Resampled", own: OwnMetrics = _NO_METRICS) -> dict[str, Estimate]:
        """Returns the lead over another model on the same resamples: see `difference`."""
        lower = LOWER_IS_BETTER | {
            name for name, metric in own.items() if not metric.higher_is_better
        }
        pairs = {name: (other, self) if name in lower else (self, other) for name in self.values}
        return _estimates(
            Resampled(
                values={
                    name: better.values[name] - worse.values[name]
                    for name, (better, worse) in pairs.items()
                },
                draws={
                    name: better.draws[name] - worse.draws[name]
                    for name, (better, worse) in pairs.items()
                },
            )
        )


def resample(
    labels: Ints,
    models: Sequence[ModelScores],
    *,
    replicates: int,
    seed: int,
    own: OwnMetrics = _NO_METRICS,
) -> tuple[Resampled, ...]:
    """Evaluates each model once on the same resamples, which serve its metrics and all leads.

    See `evaluate_scores` for the metrics and the other arguments.

    Returns:
        One per model, in order.
    """
    statistics = [_statistics(labels, model, own) for model in models]
    return resample_statistics(statistics, rows=len(labels), replicates=replicates, seed=seed)


def _statistics(labels: Ints, model: ModelScores, own: OwnMetrics) -> Statistics:
    scored = Scored.of(labels, model.scores, threshold=model.threshold)
    own_values = own_statistics(own, labels, model.scores, threshold=model.threshold)
    return lambda weights: scored.metrics(weights) | own_values(weights)


def resample_statistics(
    statistics: Sequence[Statistics], *, rows: int, replicates: int, seed: int
) -> tuple[Resampled, ...]:
    """Evaluates statistics of weighted rows on the original rows and on bootstrap resamples."""
    values = [compute(np.ones((1, rows))) for compute in statistics]
    blocks = [
        [compute(weights) for compute in statistics]
        for weights in resampled_weights(rows, replicates=replicates, seed=seed)
    ]
    return tuple(
        Resampled(
            values={name: float(value[0]) for name, value in values[index].items()},
            draws={
                name: np.concatenate([block[index][name] for block in blocks])
                for name in values[index]
            },
        )
        for index in range(len(statistics))
    )


def _estimates(resampled: Resampled) -> dict[str, Estimate]:
    values, draws = resampled.values, resampled.draws
    if _BIASED in draws:
        draws = {**draws, _BIASED: 2 * values[_BIASED] - draws[_BIASED]}
    return {name: estimate(value, draws[name]) for name, value in values.items()}


def _clip_interval(mirrored: Estimate) -> Estimate:
    """Clips a mirrored interval at 0, and extends it to its value."""
    if mirrored.value is None or mirrored.low is None or mirrored.high is None:
        return mirrored
    high = max(mirrored.high, mirrored.value)
    return replace(mirrored, low=max(mirrored.low, 0.0), high=high)


# Without the calibration error, which is mostly chance with a slice's few rows.
SLICE_METRICS = ("accuracy", "balanced_accuracy", "f1", "auc", "brier_score")


@dataclass(frozen=True)
class SliceEstimates:
    """The estimates of a slice."""

    metrics: dict[str, Estimate]  # metric -> its estimate on the slice
    # Metric -> slice minus all rows, paired by resample; below 0 the slice is worse: the sign is
    # inverted for `LOWER_IS_BETTER`.
    differences: dict[str, Estimate]


def slice_estimates(
    labels: Ints,
    scores: Floats,
    slices: Sequence[Bools],
    *,
    threshold: float,
    replicates: int,
    seed: int,
) -> list[SliceEstimates]:
    """Computes `SLICE_METRICS` of each slice with 95 % bootstrap intervals over rows.

    All rows are resampled and the slice is taken from the resample, so that a slice's size varies
    as in another sample, and the difference includes the covariance of slice and whole.

    Args:
        labels: 0 or 1, of all rows.
        scores: P(label = 1), of all rows.
        slices: masks of the slices, shape (rows,), at least one row each.
        threshold: rows with at least this score are predicted positive.
        replicates: the number of bootstrap resamples.
        seed: of the bootstrap.

    Returns:
        One per slice, in order. A metric that needs both labels is undefined if the slice has only
        one.
    """
    whole = Scored.of(labels, scores, threshold=threshold)
    parts = [Scored.of(labels[rows], scores[rows], threshold=threshold) for rows in slices]

    def compute(weights: Floats) -> list[Mapping[str, Floats]]:
        slice_values = [
            part.metrics(weights[:, rows]) for part, rows in zip(parts, slices, strict=True)
        ]
        return [whole.metrics(weights), *slice_values]

    values = compute(np.ones((1, len(labels))))
    blocks = [
        compute(weights)
        for weights in resampled_weights(len(labels), replicates=replicates, seed=seed)
    ]
    draws = [
        {name: np.concatenate([block[index][name] for block in blocks]) for name in SLICE_METRICS}
        for index in range(len(values))
    ]
    return [
        SliceEstimates(
            metrics={
                name: estimate(values[index][name][0], draws[index][name]) for name in SLICE_METRICS
            },
            differences={
                name: estimate(
                    _sign(name) * (values[index][name][0] - values[0][name][0]),
                    _sign(name) * (draws[index][name] - draws[0][name]),
                )
                for name in SLICE_METRICS
            },
        )
        for index in range(1, len(values))
    ]


def _sign(name: str) -> int:
    return -1 if name in LOWER_IS_BETTER else 1


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


@dataclass(frozen=True)
class CountedQuality:
    """Accuracy, balanced accuracy and F1 of the positive label."""

    metrics: Mapping[str, Estimate]  # metric -> estimate
    leads: Mapping[str, Estimate]  # metric -> estimate of the lead over a constant prediction


def counted_quality(
    counted: Confusion, *, always_positive: bool, replicates: int, seed: int
) -> CountedQuality:
    """Computes the metrics with 95 % intervals by a multinomial bootstrap of the counts.

    Equivalent to resampling the rows with replacement, as in `metrics.quality`, at a cost
    independent of their number; the lead is paired, since both models share the resamples.
    """
    cells = np.array(
        [counted.true_positives, counted.false_positives, counted.false_negatives,
         counted.true_negatives],
        dtype=np.int64,
    )  # fmt: skip
    resamples = np.concatenate(list(resampled_counts(cells, replicates=replicates, seed=seed)))
    model, constant = _metrics_of_both(cells[None], always_positive=always_positive)
    model_draws, constant_draws = _metrics_of_both(resamples, always_positive=always_positive)
    return CountedQuality(
        metrics={name: estimate(model[name][0], model_draws[name]) for name in model},
        leads={
            name: estimate(
                model[name][0] - constant[name][0], model_draws[name] - constant_draws[name]
            )
            for name in model
        },
    )


def _metrics_of_both(
    cells: Ints, *, always_positive: bool
) -> tuple[Mapping[str, Floats], Mapping[str, Floats]]:
    """Returns the metrics of TP, FP, FN, TN, shape (..., 4), and of the constant prediction."""
    tp, fp, fn, tn = cells.astype(np.float64).T
    positives, negatives, none = tp + fn, fp + tn, np.zeros_like(tp)
    constant = (positives, negatives, none, none) if always_positive else (
        none, none, positives, negatives)  # fmt: skip
    return threshold_metrics(tp, fp, fn, tn), threshold_metrics(*constant)
