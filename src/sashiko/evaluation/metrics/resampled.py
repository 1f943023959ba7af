"""Models' metrics on the same bootstrap resamples: their intervals, and paired leads.

A metric is a function of row weights (`scored.Scored.metrics`). Each model is evaluated once on
every resample, which serves its own intervals and its leads over all others.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

import numpy as np

from sashiko.evaluation.metrics.arrays import Floats, Ints, ModelScores
from sashiko.evaluation.metrics.own_metrics import OwnMetrics, own_statistics
from sashiko.evaluation.metrics.scored import Scored
from sashiko.evaluation.metrics.uncertainty import Estimate, estimate, resampled_weights

LOWER_IS_BETTER = frozenset({"brier_score", "expected_calibration_error"})
# Biased upwards by chance; resampling adds the same bias again.
_BIASED = "expected_calibration_error"

_NONE: OwnMetrics = MappingProxyType({})
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

    def lead(self, other: "Resampled", own: OwnMetrics = _NONE) -> dict[str, Estimate]:
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
    own: OwnMetrics = _NONE,
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
