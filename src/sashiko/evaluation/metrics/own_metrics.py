"""A project's own quality metrics, for which the engine computes intervals."""

from collections.abc import Callable, Mapping
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from sashiko.evaluation.metrics.arrays import Floats, ModelScores, Truth

__all__ = ["Metric"]


class Metric(Protocol):
    """A metric of a model's scores."""

    higher_is_better: bool  # the direction of a lead over another model

    def __call__(self, labels: npt.NDArray[Any], scores: Floats, *, threshold: float) -> float:
        """Computes the metric; called for the original rows and for each resample.

        Args:
            labels: the index of each row's class, shape (rows,); of a number its value, float64.
            scores: of two classes P(label = 1), shape (rows,); of more the probability of each,
                shape (rows, classes); of a number the predicted values, shape (rows,).
            threshold: of two classes, rows with at least this score are predicted positive; of
                more, the most probable class is predicted, and given if its score is at least this
                (0: always); of a number the contract's bound.

        Returns:
            The value; NaN if undefined, for example without rows of a label.
        """


OwnMetrics = Mapping[str, Metric]  # name in the recipe -> metric


def own_statistics(
    metrics: OwnMetrics, labels: Truth, model: ModelScores
) -> Callable[[Floats], dict[str, Floats]]:
    """Returns the metrics as a function of row weights.

    Returns:
        For weights of shape (weightings, rows), whole numbers: metric -> values of shape
        (weightings,); NaN for infinities too.
    """
    scores = model.scores[:, -1] if model.classes <= 2 else model.scores
    threshold = model.threshold

    def values(weights: Floats) -> dict[str, Floats]:
        samples = [np.repeat(np.arange(len(labels)), counts.astype(np.int64)) for counts in weights]
        values = {
            name: [metric(labels[rows], scores[rows], threshold=threshold) for rows in samples]
            for name, metric in metrics.items()
        }
        return {name: np.where(np.isfinite(each), each, np.nan) for name, each in values.items()}

    return values
