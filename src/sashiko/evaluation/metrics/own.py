"""A project's own metric of quality: it is given rows, and the engine makes its interval."""

import math
from collections.abc import Callable, Mapping
from typing import Protocol

import numpy as np

from sashiko.evaluation.metrics.arrays import Floats, Ints


class Metric(Protocol):
    """A metric of a binary classifier's scores.

    Attributes:
        higher_is_better: which way a lead over another model counts.
    """

    higher_is_better: bool

    def __call__(self, labels: Ints, scores: Floats, *, threshold: float) -> float:
        """Computes it; called once for the rows as they are, and for each resample of them.

        Args:
            labels: 0 or 1, shape (rows,).
            scores: P(label = 1), shape (rows,).
            threshold: from which score on a row is predicted positive.

        Returns:
            The value; NaN where it is undefined, such as without a row of a label.
        """


OwnMetrics = Mapping[str, Metric]  # name in the recipe -> metric


def own_statistics(
    metrics: OwnMetrics, labels: Ints, scores: Floats, *, threshold: float
) -> Callable[[Floats], dict[str, Floats]]:
    """Makes the metrics functions of how often each row counts.

    Returns:
        For weights of shape (weightings, rows), whole numbers: metric -> values of shape
        (weightings,).
    """

    def values(weights: Floats) -> dict[str, Floats]:
        drawn = [np.repeat(np.arange(len(labels)), counts.astype(np.int64)) for counts in weights]
        return {
            name: np.array(
                [_finite(metric(labels[at], scores[at], threshold=threshold)) for at in drawn]
            )
            for name, metric in metrics.items()
        }

    return values


def _finite(value: float) -> float:
    return float(value) if math.isfinite(value) else math.nan
