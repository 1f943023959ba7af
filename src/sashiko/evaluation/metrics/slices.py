"""Metrics of slices and their differences from all rows, on the same resamples."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from sashiko.evaluation.metrics.arrays import Bools, Floats, Ints
from sashiko.evaluation.metrics.resampled import LOWER_IS_BETTER
from sashiko.evaluation.metrics.scored import Scored
from sashiko.evaluation.metrics.uncertainty import Estimate, estimate, resampled_weights

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
