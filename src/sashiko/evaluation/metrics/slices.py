"""Metrics of parts of the rows, each beside those of all rows, on the same resamples."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from sashiko.evaluation.metrics.arrays import Bools, Floats, Ints
from sashiko.evaluation.metrics.quality import LOWER_IS_BETTER
from sashiko.evaluation.metrics.scored import Scored
from sashiko.evaluation.metrics.uncertainty import Estimate, estimate, resampled_weights

# Not the calibration error: in a part's few rows it is mostly chance.
SLICE_METRICS = ("accuracy", "balanced_accuracy", "f1", "auc", "brier_score")


@dataclass(frozen=True)
class SliceEstimates:
    """What a slice's rows show.

    Attributes:
        metrics: metric -> its estimate on the slice.
        differences: metric -> slice minus all rows, paired by resample; below 0 the slice is
            worse: where lower is better (`LOWER_IS_BETTER`) the sign is turned.
    """

    metrics: dict[str, Estimate]
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
    as it would in another sample, and the difference has the covariance of part and whole in it.

    Args:
        labels: 0 or 1, of all rows.
        scores: P(label = 1), likewise.
        slices: which rows are in each slice, shape (rows,), at least one row each.
        threshold: from which score on a row is predicted positive.
        replicates: how many bootstrap resamples.
        seed: of the bootstrap.

    Returns:
        One a slice, in their order. A metric is undefined where the slice has one label only and
        the metric needs both.
    """
    whole = Scored.of(labels, scores, threshold=threshold)
    parts = [Scored.of(labels[rows], scores[rows], threshold=threshold) for rows in slices]

    def measured(weights: Floats) -> list[Mapping[str, Floats]]:
        found = [part.metrics(weights[:, rows]) for part, rows in zip(parts, slices, strict=True)]
        return [whole.metrics(weights), *found]

    values = measured(np.ones((1, len(labels))))
    blocks = [
        measured(weights)
        for weights in resampled_weights(len(labels), replicates=replicates, seed=seed)
    ]
    drawn = [
        {name: np.concatenate([block[index][name] for block in blocks]) for name in SLICE_METRICS}
        for index in range(len(values))
    ]
    return [
        SliceEstimates(
            metrics={
                name: estimate(values[at][name][0], drawn[at][name]) for name in SLICE_METRICS
            },
            differences={
                name: estimate(
                    _sign(name) * (values[at][name][0] - values[0][name][0]),
                    _sign(name) * (drawn[at][name] - drawn[0][name]),
                )
                for name in SLICE_METRICS
            },
        )
        for at in range(1, len(values))
    ]


def _sign(name: str) -> int:
    return -1 if name in LOWER_IS_BETTER else 1
