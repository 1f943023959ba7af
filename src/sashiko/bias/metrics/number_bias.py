"""Bias under names of our own, of predicted numbers and of rows that are not answered.

Clarify judges a number only at its bound, and knows no row without an answer.

Differences are of all other rows less the group, as in Clarify's metrics. Errors are predicted less
observed values. All are in the label's unit but the Kolmogorov distance and the coverage.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from sashiko.bias.metrics.bias_table import METRICS, Meaning, Stage
from sashiko.evaluation.metrics.arrays import Bools, Floats
from sashiko.evaluation.metrics.numbers import COVERAGE, INTERVAL_LEVEL, exact_share
from sashiko.evaluation.metrics.uncertainty import CONFIDENCE, Estimate

FEWEST_ROWS = 2  # of each side, for a variance
_PREDICTIONS: Stage = "post_training"

NUMBER_METRICS: Mapping[str, Meaning] = MappingProxyType({
    meaning.name: meaning
    for meaning in (
        Meaning(name="mean_prediction_difference", description="Difference of Mean Predictions",
                stage=_PREDICTIONS),
        Meaning(name="prediction_distance", description="Kolmogorov Distance of Predictions",
                stage=_PREDICTIONS, worse="either"),
        Meaning(name="mean_error", description="Mean Signed Error of the Group",
                stage=_PREDICTIONS, worse="below", compares=False),
        Meaning(name="mae", description="Mean Absolute Error of the Group", stage=_PREDICTIONS,
                compares=False),
        Meaning(name=COVERAGE, description="Interval Coverage of the Group", stage=_PREDICTIONS,
                neutral=float(INTERVAL_LEVEL), worse="below", compares=False),
    )
})  # fmt: skip
ABSTENTION_RATE = "abstention_rate"
ALL_METRICS: Mapping[str, Meaning] = MappingProxyType({
    **METRICS, **NUMBER_METRICS,
    ABSTENTION_RATE: Meaning(name=ABSTENTION_RATE, description="Abstention Rate of the Group",
                             stage=_PREDICTIONS, compares=False),
})  # fmt: skip


@dataclass(frozen=True)
class PredictedNumbers:
    """Numbers of rows, each of shape (rows,)."""

    values: Floats  # observed, in the label's unit
    predicted: Floats  # in the label's unit
    covered: Bools  # whether the interval around the predicted value holds the observed one

    def of_group(self, group: Bools, *, looks: int) -> dict[str, Estimate]:
        """Measures a group, with intervals that hold with 95 % confidence over all looks at once.

        Means have intervals of Student's t, their difference one of Welch's (B. L. Welch, The
        generalization of Student's problem, Biometrika 34, 1947). The coverage has Clopper and
        Pearson's. The distance has the sum of the bounds on both groups' distribution functions
        (P. Massart, The tight constant in the Dvoretzky-Kiefer-Wolfowitz inequality, Annals of
        Probability 18, 1990), which is rather too wide than too narrow.

        Args:
            group: whether each row is of the group, shape (rows,); at least two rows are, and two
                are not.
            looks: the number of intervals, including each of these, that hold at once.

        Returns:
            Name of `NUMBER_METRICS` -> its estimate.
        """
        from scipy.stats import ks_2samp

        error = (1 - CONFIDENCE) / looks
        own, others = self.predicted[group], self.predicted[~group]
        misses = (self.predicted - self.values)[group]
        distance = float(ks_2samp(own, others).statistic)
        slack = sum(math.sqrt(math.log(4 / error) / (2 * len(side))) for side in (own, others))
        return {
            "mean_prediction_difference": _mean_difference(others, own, error=error),
            "prediction_distance": Estimate(
                value=distance, low=max(distance - slack, 0.0), high=min(distance + slack, 1.0)
            ),
            "mean_error": _mean(misses, error=error),
            "mae": _mean(np.abs(misses), error=error),
            COVERAGE: exact_share(self.covered[group], looks=looks),
        }


def _mean(values: Floats, *, error: float) -> Estimate:
    return _around(
        values.mean(), variance=values.var(ddof=1) / len(values), freedom=len(values) - 1,
        error=error,
    )  # fmt: skip


def _mean_difference(others: Floats, own: Floats, *, error: float) -> Estimate:
    parts = [(side.var(ddof=1) / len(side), len(side) - 1) for side in (others, own)]
    variance = sum(part for part, _ in parts)
    squares = sum(part**2 / freedom for part, freedom in parts)
    freedom = variance**2 / squares if squares else len(others) + len(own) - 2
    return _around(others.mean() - own.mean(), variance=variance, freedom=freedom, error=error)


def _around(value: float, *, variance: float, freedom: float, error: float) -> Estimate:
    from scipy.stats import t

    half = float(t.ppf(1 - error / 2, freedom)) * math.sqrt(variance)
    return Estimate(value=float(value), low=float(value) - half, high=float(value) + half)
