"""Metrics of a number, as functions of row weights (`evaluation.metrics.quality`).

Observed and predicted values are in the label's unit, float64, shape (rows,).
"""

from dataclasses import dataclass
from fractions import Fraction
from typing import Final

import numpy as np
import numpy.typing as npt

from sashiko.evaluation.metrics.arrays import Bools, Floats, ModelScores, ratio
from sashiko.evaluation.metrics.uncertainty import CONFIDENCE, Estimate

COVERAGE: Final = "interval_coverage"
INTERVAL_LEVEL: Final = Fraction(9, 10)  # of the values, which a number's interval is to hold
MEAN_ERROR: Final = "mean_error"  # of slices alone: neither side of 0 is better
_ROUNDING = 1e-12  # of a variance, as a share of the mean square


def exact_share(rows: Bools, *, looks: int = 1) -> Estimate:
    """Returns the share of rows that are true, with its exact 95 % interval, over several looks.

    Source: C. J. Clopper and E. S. Pearson, The use of confidence or fiducial limits illustrated
    in the case of the binomial (Biometrika 26, 1934). Without rows it is undefined.
    """
    from scipy.stats import binomtest

    if not len(rows):
        return Estimate(value=None, low=None, high=None)
    result = binomtest(int(rows.sum()), len(rows))
    confidence = 1 - (1 - CONFIDENCE) / looks
    ends = result.proportion_ci(confidence_level=confidence, method="exact")
    return Estimate(value=float(rows.mean()), low=float(ends.low), high=float(ends.high))


def covered_rows(values: Floats, model: ModelScores) -> Bools:
    """Returns for each row whether the interval around its predicted value holds the observed one.

    Raises:
        ValueError: if the model gives no intervals.
    """
    if model.half_width is None:
        raise ValueError("these predicted values have no interval")
    covered: Bools = np.abs(values - model.scores[:, 0]) <= model.half_width
    return covered


@dataclass(frozen=True)
class ScoredNumbers:
    """Precomputed rows of a model that predicts a number."""

    errors: Floats  # predicted - observed
    order: npt.NDArray[np.intp]  # rows by ascending absolute error
    values: Floats  # observed, less their mean: squares of large numbers would lose their digits
    exact: dict[str, Estimate]  # estimates whose interval is not the bootstrap's

    @classmethod
    def of(cls, values: Floats, model: ModelScores) -> "ScoredNumbers":
        """Prepares rows."""
        errors = model.scores[:, 0] - values
        has_interval = model.half_width is not None
        return cls(
            errors=errors,
            order=np.argsort(np.abs(errors), kind="stable"),
            values=values - values.mean(),
            exact={COVERAGE: exact_share(covered_rows(values, model))} if has_interval else {},
        )

    def metrics(self, weights: Floats) -> dict[str, Floats]:
        """Returns name -> values of shape (weightings,) for weights of shape (weightings, rows)."""
        quality, rows = self.quality(weights), weights.sum(axis=1)
        moments = weights @ self.values**2
        squares = moments - (weights @ self.values) ** 2 / rows
        squares[squares <= _ROUNDING * moments] = 0  # equal values
        ascending, half = np.cumsum(weights[:, self.order], axis=1), rows[:, None] / 2
        absolute = np.abs(self.errors)[self.order]
        # The two middle rows, or twice the middle one.
        middle = [
            absolute[(ascending < half).sum(axis=1)],
            absolute[(ascending <= half).sum(axis=1)],
        ]
        return {
            "rmse": quality["rmse"],
            "mae": quality["mae"],
            "median_absolute_error": np.mean(middle, axis=0),
            "r2": 1 - ratio(weights @ self.errors**2, squares),
        }

    def quality(self, weights: Floats) -> dict[str, Floats]:
        """Returns what slices are measured by, which takes little time."""
        rows = weights.sum(axis=1)
        return {
            "rmse": np.sqrt(ratio(weights @ self.errors**2, rows)),
            "mae": ratio(weights @ np.abs(self.errors), rows),
            MEAN_ERROR: ratio(weights @ self.errors, rows),
        }
