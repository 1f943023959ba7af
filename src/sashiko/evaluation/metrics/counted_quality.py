"""Metrics at one threshold from confusion counts, for scans over many thresholds."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from sashiko.evaluation.metrics.arrays import Floats, Ints
from sashiko.evaluation.metrics.quality import Confusion
from sashiko.evaluation.metrics.scored import threshold_metrics
from sashiko.evaluation.metrics.uncertainty import Estimate, estimate, resampled_counts


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
