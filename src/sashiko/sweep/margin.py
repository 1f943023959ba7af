"""The margin for new rows: a gated bias metric keeps half of the distance to its bounds."""

import math

from sashiko.metrics.bias import METRICS
from sashiko.recipe_bias import BiasGate


def bounds(gate: BiasGate) -> tuple[float, float]:
    """Returns a gate's bounds, infinite where it is open."""
    return (
        -math.inf if gate.minimum is None else gate.minimum,
        math.inf if gate.maximum is None else gate.maximum,
    )


def inner_bounds(gate: BiasGate) -> tuple[float, float]:
    """Draws a gate's bounds half way towards where the groups do not differ.

    Half way of a ratio is that of its logarithm: from 0.8 to 1 it is 0.894. A bound that lies on
    the far side of no difference stays where it is.
    """
    low, high = bounds(gate)
    neutral = METRICS[gate.metric].neutral
    return max(low, _half_way(low, neutral)), min(high, _half_way(high, neutral))


def keeps_margin(value: float | None, gate: BiasGate) -> bool:
    """Says whether a gated metric lies in the inner half of the gate's bounds."""
    low, high = inner_bounds(gate)
    return value is not None and low <= value <= high


def distance(value: float, metric: str) -> float:
    """Says how far a metric is from no difference; of a ratio, its logarithm."""
    neutral = METRICS[metric].neutral
    if not neutral:
        return abs(value)
    return abs(math.log(value / neutral)) if value > 0 else math.inf


def _half_way(bound: float, neutral: float) -> float:
    if not math.isfinite(bound):
        return bound
    return neutral * math.sqrt(max(bound, 0.0) / neutral) if neutral else bound / 2
