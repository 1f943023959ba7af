"""The metrics at one threshold from four counts alone, for when many thresholds are looked at."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from sashiko.evaluation.metrics.arrays import Floats, Ints
from sashiko.evaluation.metrics.quality import Confusion
from sashiko.evaluation.metrics.scored import threshold_metrics
from sashiko.evaluation.metrics.uncertainty import Estimate, estimate, resampled_counts


@dataclass(frozen=True)
class CountedQuality:
    """Accuracy, balanced accuracy and F1 of the positive label.

    Attributes:
        metrics: metric -> estimate.
        leads: the same of the lead over answering every row alike.
    """

    metrics: Mapping[str, Estimate]
    leads: Mapping[str, Estimate]


def counted_quality(
    counted: Confusion, *, always_positive: bool, replicates: int, seed: int
) -> CountedQuality:
    """Computes the metrics with 95 % intervals by a multinomial bootstrap of the counts.

    Equal to resampling the rows with replacement, as `metrics.quality` does, at a cost that does
    not grow with them; the lead is paired, since both models are counted on the same resample.

    Args:
        counted: the rows by label and prediction, at least one.
        always_positive: whether the other model answers every row with the positive label.
        replicates: how many bootstrap resamples.
        seed: of the bootstrap.
    """
    cells = np.array(
        [counted.true_positives, counted.false_positives, counted.false_negatives,
         counted.true_negatives],
        dtype=np.int64,
    )  # fmt: skip
    drawn = np.concatenate(list(resampled_counts(cells, replicates=replicates, seed=seed)))
    ours, theirs = _both(cells[None], always_positive=always_positive)
    our_draws, their_draws = _both(drawn, always_positive=always_positive)
    return CountedQuality(
        metrics={name: estimate(ours[name][0], our_draws[name]) for name in ours},
        leads={
            name: estimate(ours[name][0] - theirs[name][0], our_draws[name] - their_draws[name])
            for name in ours
        },
    )


def _both(
    cells: Ints, *, always_positive: bool
) -> tuple[Mapping[str, Floats], Mapping[str, Floats]]:
    """Returns the metrics of TP, FP, FN, TN, shape (..., 4), and of answering every row alike."""
    tp, fp, fn, tn = cells.astype(np.float64).T
    positives, negatives, none = tp + fn, fp + tn, np.zeros_like(tp)
    alike = (positives, negatives, none, none) if always_positive else (
        none, none, positives, negatives)  # fmt: skip
    return threshold_metrics(tp, fp, fn, tn), threshold_metrics(*alike)
