"""Metrics of a model's scores, with bootstrap intervals and paired differences.

Every metric is a function of row weights, so the same code computes the value (all weights 1) and
its bootstrap replicates (weights: the number of draws of a row). Each model is evaluated once on
every resample, which serves its own intervals and its leads over all others.

Labels are indices of classes, int64, shape (rows,); scores are the probabilities of the classes,
float64, shape (rows, classes). Two classes have the metrics of the second one, the positive label:
a row is predicted positive if its score >= the threshold. More have those of `metrics.classes`. A
number has values in place of labels, float64, shape (rows,), and the metrics of `metrics.numbers`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Literal

import numpy as np
import numpy.typing as npt

from sashiko.evaluation.metrics.arrays import (
    Bools,
    Floats,
    Ints,
    ModelScores,
    Truth,
    ratio,
)
from sashiko.evaluation.metrics.calibration import CALIBRATION_BINS, equal_mass_bins
from sashiko.evaluation.metrics.classes import ScoredClasses
from sashiko.evaluation.metrics.numbers import MEAN_ERROR, ScoredNumbers
from sashiko.evaluation.metrics.own_metrics import OwnMetrics, own_statistics
from sashiko.evaluation.metrics.uncertainty import (
    Estimate,
    estimate,
    resampled_weights,
)

METRICS = (
    "accuracy", "balanced_accuracy", "precision", "recall", "f1", "auc", "average_precision",
    "brier_score", "expected_calibration_error",
)  # fmt: skip
# Biased upwards by chance; resampling adds the same bias again.
_BIASED = ("expected_calibration_error", "classwise_calibration_error")
IN_LABEL_UNIT = frozenset({"rmse", "mae", "median_absolute_error"})  # of a number
LOWER_IS_BETTER = frozenset({"brier_score", "log_loss", *_BIASED, *IN_LABEL_UNIT})
# Without the calibration error, which is mostly chance with a slice's few rows.
SLICE_METRICS = ("accuracy", "balanced_accuracy", "f1", "auc", "brier_score")
CLASS_SLICE_METRICS = ("accuracy", "balanced_accuracy", "macro_f1", "log_loss", "brier_score")
NUMBER_SLICE_METRICS = ("rmse", "mae", MEAN_ERROR)
_NO_METRICS: OwnMetrics = MappingProxyType({})
Statistics = Callable[[Floats], dict[str, Floats]]  # weights -> metric -> value per weighting
ThresholdMetric = Literal["accuracy", "balanced_accuracy", "f1"]


@dataclass(frozen=True)
class Scored:
    """Precomputed rows of two classes.

    The metrics of many weightings need only a few array operations.
    """

    cells: Floats  # shape (rows, 4), 1 in the row's column of TP, FP, FN, TN
    gaps: Floats  # shape (rows, bins), score - label in the column of the row's calibration bin
    squares: Floats  # shape (rows,), (score - label)^2
    order: npt.NDArray[np.intp]  # rows by ascending score
    starts: npt.NDArray[np.intp]  # positions in `order` at which the distinct scores begin
    positive: Floats  # labels in `order`, float64

    @classmethod
    def of(cls, labels: Ints, scores: Floats, *, threshold: float) -> "Scored":
        """Prepares rows: labels 0 or 1, scores in [0, 1], both of shape (rows,)."""
        predicted, positive = scores >= threshold, labels == 1
        cells = [positive & predicted, ~positive & predicted, positive & ~predicted,
                 ~positive & ~predicted]  # fmt: skip
        gaps = np.zeros((len(labels), CALIBRATION_BINS))
        gaps[np.arange(len(labels)), equal_mass_bins(scores)] = scores - labels
        order = np.argsort(scores, kind="stable")
        ascending = scores[order]
        return cls(
            cells=np.stack(cells, axis=1).astype(np.float64),
            gaps=gaps,
            squares=(scores - labels) ** 2,
            order=order,
            starts=np.flatnonzero(np.concatenate([[True], ascending[1:] != ascending[:-1]])),
            positive=positive[order].astype(np.float64),
        )

    def metrics(self, weights: Floats) -> dict[str, Floats]:
        """Returns name -> values of shape (weightings,) for weights of shape (weightings, rows)."""
        ascending = weights[:, self.order]
        positives = np.add.reduceat(ascending * self.positive, self.starts, axis=1)
        negatives = np.add.reduceat(ascending, self.starts, axis=1) - positives
        below = np.cumsum(negatives, axis=1) - negatives
        wins = (positives * (below + negatives / 2)).sum(axis=1)
        all_positives = positives.sum(axis=1)
        # Of the rows with at least each distinct score.
        tp, fp = (np.cumsum(part[:, ::-1], axis=1)[:, ::-1] for part in (positives, negatives))
        precisions = np.nan_to_num(ratio(tp, tp + fp))
        rows = weights.sum(axis=1)
        return {
            **threshold_metrics(*(weights @ self.cells).T),
            "auc": ratio(wins, all_positives * negatives.sum(axis=1)),
            "average_precision": ratio((positives * precisions).sum(axis=1), all_positives),
            "brier_score": ratio(weights @ self.squares, rows),
            "expected_calibration_error": ratio(np.abs(weights @ self.gaps).sum(axis=1), rows),
        }


def threshold_metrics(tp: Floats, fp: Floats, fn: Floats, tn: Floats) -> dict[str, Floats]:
    """Returns the metrics of confusion counts, elementwise."""
    recall, specificity = ratio(tp, tp + fn), ratio(tn, tn + fp)
    return {
        "accuracy": ratio(tp + tn, tp + fp + fn + tn),
        "balanced_accuracy": (recall + specificity) / 2,
        "precision": ratio(tp, tp + fp),
        "recall": recall,
        "f1": ratio(2 * tp, 2 * tp + fp + fn),
    }


AnyScored = Scored | ScoredClasses | ScoredNumbers


@dataclass(frozen=True)
class Resampled:
    """A model's metrics on the rows and on bootstrap resamples of them; NaN if undefined."""

    values: dict[str, float]  # metric -> its value on the original rows
    draws: dict[str, Floats]  # metric -> its value on each resample, shape (replicates,)
    # Estimates whose interval is not that of the draws.
    exact: Mapping[str, Estimate] = field(default_factory=dict)

    def estimates(self) -> dict[str, Estimate]:
        """Returns each metric with its 95 % interval: see `evaluate_scores`."""
        estimates = {**self._estimates(), **self.exact}
        for name in _BIASED:
            mirrored = estimates.get(name)
            if mirrored and mirrored.low is not None and mirrored.high is not None:
                # A mirrored interval may begin below 0, and may leave its value out.
                low, high = max(mirrored.low, 0.0), max(mirrored.high, self.values[name])
                estimates[name] = replace(mirrored, low=low, high=high)
        return estimates

    def lead(self, other: "Resampled", own: OwnMetrics = _NO_METRICS) -> dict[str, Estimate]:
        """Returns the lead over another model on the same resamples: see `difference`."""
        worse_own = {name for name, metric in own.items() if not metric.higher_is_better}
        lead = Resampled({}, {})
        for name in self.values:
            is_reversed = name in LOWER_IS_BETTER or name in worse_own
            better, worse = (other, self) if is_reversed else (self, other)
            lead.values[name] = better.values[name] - worse.values[name]
            lead.draws[name] = better.draws[name] - worse.draws[name]
        return lead._estimates()

    def _estimates(self) -> dict[str, Estimate]:
        values, draws = self.values, dict(self.draws)
        for name in draws.keys() & set(_BIASED):
            draws[name] = 2 * values[name] - draws[name]
        return {name: estimate(value, draws[name]) for name, value in values.items()}


def resample(
    truth: Truth,
    models: Sequence[ModelScores],
    *,
    replicates: int,
    seed: int,
    own: OwnMetrics = _NO_METRICS,
    top_k: int = 2,
) -> tuple[Resampled, ...]:
    """Evaluates each model once on the same resamples, which serve its metrics and all leads.

    See `evaluate_scores` for the metrics and the other arguments. `top_k` is that of the classes'
    top-k accuracy.

    Returns:
        One per model, in order.
    """
    prepared = [_prepare(truth, model, top_k=top_k) for model in models]

    def statistics(scored: AnyScored, model: ModelScores) -> Statistics:
        own_values = own_statistics(own, truth, model)
        return lambda weights: scored.metrics(weights) | own_values(weights)

    computed = [statistics(*both) for both in zip(prepared, models, strict=True)]
    resampled = _resample(computed, rows=len(truth), replicates=replicates, seed=seed)
    return tuple(
        item if isinstance(scored, Scored) else replace(item, exact=scored.exact)
        for item, scored in zip(resampled, prepared, strict=True)
    )


def _prepare(truth: Truth, model: ModelScores, *, top_k: int = 2) -> AnyScored:
    if model.classes == 1:
        return ScoredNumbers.of(truth.astype(np.float64), model)
    labels = truth.astype(np.int64)
    if model.classes > 2:
        return ScoredClasses.of(labels, model, top_k=top_k)
    return Scored.of(labels, np.ascontiguousarray(model.scores[:, 1]), threshold=model.threshold)


def _resample(
    statistics: Sequence[Statistics], *, rows: int, replicates: int, seed: int
) -> tuple[Resampled, ...]:
    """Evaluates statistics of weighted rows on the original rows and on bootstrap resamples."""
    blocks = [
        [compute(weights) for compute in statistics]
        for weights in resampled_weights(rows, replicates=replicates, seed=seed)
    ]
    return tuple(
        Resampled(
            values={name: float(value[0]) for name, value in compute(np.ones((1, rows))).items()},
            draws={name: np.concatenate([part[name] for part in parts]) for name in parts[0]},
        )
        for compute, parts in zip(statistics, zip(*blocks, strict=True), strict=True)
    )


def evaluate_scores(
    truth: Truth, model: ModelScores, *, replicates: int, seed: int, own: OwnMetrics = _NO_METRICS
) -> dict[str, Estimate]:
    """Computes every metric with its 95 % bootstrap interval over rows.

    Of two classes:

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

    Of more:

    - accuracy: as of two.
    - balanced_accuracy: mean of the recalls of the classes that have rows, 0 to 1.
    - macro_f1: mean of the F1 of the classes that have rows or predictions, 0 to 1.
    - worst_class_recall: the lowest recall of the classes with at least 30 rows, 0 to 1; undefined
      if there is none. Its interval is Wilson's of that class: it does not count that the class is
      the lowest of several. A lead is that of the lowest recalls, from the bootstrap.
    - top_2_accuracy: share of rows whose class is one of the two most probable, 0 to 1; of k in
      its place where `resample` is given another `top_k`.
    - log_loss: mean of -log P(class of the row), in nats, lower is better. Probabilities below
      2.2e-16 count as that.
    - brier_score: mean of the sum over classes of (score - 1 or 0)^2, 0 to 2, lower is better
      (Brier, 1950; twice that of two classes).
    - expected_calibration_error: as of two, of the predicted class: the score of the top label, and
      whether it is right (Guo et al., ICML 2017).
    - classwise_calibration_error: the mean over classes of that of each class against the rest
      (Kull et al., NeurIPS 2019), with bins and interval as above.

    Of a number, with errors of predicted - observed value:

    - rmse: root of the mean squared error, in the label's unit, lower is better.
    - mae: mean of the absolute errors, likewise.
    - median_absolute_error: their median, likewise.
    - r2: 1 - mean squared error / variance of the values, at most 1; undefined if all are equal.
    - interval_coverage: share of rows whose value lies in the model's interval, 0 to 1, with its
      exact interval (`numbers.exact_share`). It has no lead, since the share that is aimed at is
      best. Only of a model that gives intervals.

    Args:
        truth: index of each row's class, or value of the number, at least one row.
        model: the scores, and the threshold of two classes.
        replicates: the number of bootstrap resamples.
        seed: of the bootstrap.
        own: a project's metrics, which are estimated on the same resamples.

    Returns:
        Metric name -> estimate; its value is None if the metric is undefined, such as AUC when all
        labels are equal.
    """
    return resample(truth, [model], replicates=replicates, seed=seed, own=own)[0].estimates()


def difference(
    truth: Truth,
    model: ModelScores,
    other: ModelScores,
    *,
    replicates: int,
    seed: int,
    own: OwnMetrics = _NO_METRICS,
) -> dict[str, Estimate]:
    """Computes the lead of a model over another one, of the same rows, on the same resamples.

    Differences are paired by row: two models fail on the same difficult rows, so the interval of
    their difference is narrower than their two intervals suggest. See `evaluate_scores` for the
    arguments.

    Returns:
        Metric name -> estimate of the lead. Above 0, `model` is better: the sign is inverted for
        metrics whose lower values are better (`LOWER_IS_BETTER`, or a project's metric).
    """
    ours, theirs = resample(truth, [model, other], replicates=replicates, seed=seed, own=own)
    return ours.lead(theirs, own)


@dataclass(frozen=True)
class SliceEstimates:
    """The estimates of a slice."""

    metrics: dict[str, Estimate]  # metric -> its estimate on the slice
    # Metric -> slice minus all rows, paired by resample; below 0 the slice is worse: the sign is
    # inverted for `LOWER_IS_BETTER`.
    differences: dict[str, Estimate]


def slice_estimates(
    truth: Truth, model: ModelScores, slices: Sequence[Bools], *, replicates: int, seed: int
) -> list[SliceEstimates]:
    """Computes `SLICE_METRICS` of each slice, with 95 % bootstrap intervals over rows.

    Of more than two classes these are `CLASS_SLICE_METRICS`, and of a number
    `NUMBER_SLICE_METRICS` and the coverage of its intervals.

    All rows are resampled and the slice is taken from the resample, so that a slice's size varies
    as in another sample, and the difference includes the covariance of slice and whole.

    Args:
        truth: the index of each row's class, or the value of the number, of all rows.
        model: the scores of all rows, and the threshold.
        slices: masks of the slices, shape (rows,), at least one row each.
        replicates: the number of bootstrap resamples.
        seed: of the bootstrap.

    Returns:
        One per slice, in order. A metric that needs both labels is undefined if the slice has only
        one.
    """
    by_classes = {1: NUMBER_SLICE_METRICS, 2: SLICE_METRICS}
    names = by_classes.get(model.classes, CLASS_SLICE_METRICS)

    def prepare(rows: Bools | slice) -> AnyScored:
        return _prepare(truth[rows], replace(model, scores=model.scores[rows]))

    def statistics(scored: AnyScored, rows: Bools | slice) -> Statistics:
        measure = scored.metrics if isinstance(scored, Scored) else scored.quality

        def compute(weights: Floats) -> dict[str, Floats]:
            values = measure(weights[:, rows])
            return {name: values[name] for name in names}

        return compute

    selections: list[Bools | slice] = [slice(None), *slices]
    prepared = [prepare(rows) for rows in selections]
    computed = list(map(statistics, prepared, selections))
    whole, *parts = _resample(computed, rows=len(truth), replicates=replicates, seed=seed)
    return [
        SliceEstimates(
            part.estimates() | (scored.exact if isinstance(scored, ScoredNumbers) else {}),
            part.lead(whole),
        )
        for part, scored in zip(parts, prepared[1:], strict=True)
    ]


@dataclass(frozen=True)
class Confusion:
    """Counts of rows by label and prediction, of two classes."""

    true_positives: int
    false_positives: int
    false_negatives: int
    true_negatives: int


def confusion(labels: Ints, model: ModelScores) -> Confusion:
    """Counts the rows by label and prediction, of two classes or of a number's outcomes."""
    (true_negatives, false_positives), (false_negatives, true_positives) = confusion_matrix(
        labels, model
    ).tolist()
    return Confusion(
        true_positives=true_positives,
        false_positives=false_positives,
        false_negatives=false_negatives,
        true_negatives=true_negatives,
    )


def confusion_matrix(labels: Ints, model: ModelScores) -> Ints:
    """Counts the rows by label and prediction.

    Returns:
        Rows of each label (first axis) that are predicted as each class, shape (classes, classes).
    """
    classes = max(model.classes, 2)  # a number has two outcomes
    cells = np.bincount(labels * classes + model.predicted, minlength=classes**2)
    return cells.reshape(classes, classes).astype(np.int64)


def choose_threshold(labels: Ints, scores: Floats, *, metric: ThresholdMetric) -> float:
    """Returns the threshold with the highest `metric`; call it on validation rows only.

    Labels are 0 or 1, and scores P(label = 1), both of shape (rows,).
    Candidates are the midpoints between adjacent distinct scores, including 0 and 1. Ties go to the
    candidate nearest to 0.5, then to the lower one.
    """
    edges = np.unique(np.concatenate([[0.0, 1.0], scores]))
    candidates = (edges[:-1] + edges[1:]) / 2
    positives, negatives = np.sort(scores[labels == 1]), np.sort(scores[labels == 0])
    fn = np.searchsorted(positives, candidates, side="left").astype(np.float64)
    tn = np.searchsorted(negatives, candidates, side="left").astype(np.float64)
    quality = threshold_metrics(len(positives) - fn, len(negatives) - tn, fn, tn)[metric]
    best = candidates[quality >= np.nanmax(quality) - 1e-12]
    return float(min(best, key=lambda threshold: (abs(threshold - 0.5), threshold)))
