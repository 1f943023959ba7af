"""Selects the recommended point of a sweep, and its Pareto front.

A point is acceptable if, on the validation split, each quality gate passes (without leads over the
linear baseline and the champion), each bias gate passes, and each gated bias metric keeps half of
the distance to its bounds as a margin for new rows (`keeps_margin`). The acceptable point with the
highest value of the metric of the recipe's threshold policy is recommended; of equal ones, that of
the lower strength, then that of the recipe's own threshold policy, then the one with the threshold
nearest to 0.5.
"""

import math
import shlex
from collections.abc import Iterator, Sequence

from sashiko.bias.metrics.bias import METRICS
from sashiko.settings.bias import BiasGate
from sashiko.settings.quality import QualityMetric
from sashiko.settings.recipe import Recipe
from sashiko_packs.selection.sweep.record import Curve, Point, Recommendation


def bounds(gate: BiasGate) -> tuple[float, float]:
    """Returns a gate's bounds; a missing bound is infinite."""
    return (
        -math.inf if gate.minimum is None else gate.minimum,
        math.inf if gate.maximum is None else gate.maximum,
    )


def inner_bounds(gate: BiasGate) -> tuple[float, float]:
    """Returns a gate's bounds moved half way towards the neutral value of its metric.

    For a ratio this is half of its logarithm: between 0.8 and 1 it is 0.894. A bound beyond the
    neutral value is unchanged.
    """
    low, high = bounds(gate)
    neutral = METRICS[gate.metric].neutral
    return max(low, _half_way(low, neutral)), min(high, _half_way(high, neutral))


def keeps_margin(value: float | None, gate: BiasGate) -> bool:
    """Returns whether a gated metric is within the gate's inner bounds."""
    low, high = inner_bounds(gate)
    return value is not None and low <= value <= high


def distance(value: float, metric: str) -> float:
    """Returns a metric's distance from its neutral value; for a ratio, of its logarithm."""
    neutral = METRICS[metric].neutral
    if not neutral:
        return abs(value)
    return abs(math.log(value / neutral)) if value > 0 else math.inf


def _half_way(bound: float, neutral: float) -> float:
    if not math.isfinite(bound):
        return bound
    return neutral * math.sqrt(max(bound, 0.0) / neutral) if neutral else bound / 2


_SortKey = tuple[int, float, float, bool, float, float]


def best(curve: Curve, metric: QualityMetric) -> Point:
    """Returns the best of the points of a curve with the fewest failed checks."""
    return min(curve.points, key=lambda point: _sort_key(curve, point, metric))


def choose(
    curves: Sequence[Curve], recipe: Recipe, *, metric: QualityMetric, command: str
) -> Recommendation | None:
    """Returns the recommended point, or None if no point is acceptable."""
    curve = min(curves, key=lambda curve: _sort_key(curve, best(curve, metric), metric))
    point = best(curve, metric)
    if point.lacking:
        return None
    overrides = tuple(_overrides(curve.strength, point, recipe))
    return Recommendation(
        strength=curve.strength,
        point=point,
        overrides=overrides,
        command=" ".join([command, *(f"--set {shlex.quote(text)}" for text in overrides)]),
    )


def mark_front(curves: Sequence[Curve], *, check: str, metric: QualityMetric) -> tuple[Curve, ...]:
    """Marks the Pareto front of all curves: a quality metric against one bias gate's check."""
    front: set[int] = set()
    highest = float("-inf")
    for _, value, point in sorted(
        _measured_points(curves, check, metric), key=lambda item: (item[0], -item[1])
    ):
        if value > highest:
            highest = value
            front.add(id(point))
    return tuple(
        curve.model_copy(
            update={
                "points": tuple(
                    point.model_copy(update={"on_front": id(point) in front})
                    for point in curve.points
                )
            }
        )
        for curve in curves
    )


def _measured_points(
    curves: Sequence[Curve], check: str, metric: QualityMetric
) -> Iterator[tuple[float, float, Point]]:
    """Yields bias distance, quality and the point, for points with both values."""
    for curve in curves:
        for point in curve.points:
            bias, value = point.bias[check].value, point.quality[metric].value
            if bias is not None and value is not None:
                yield distance(bias, check.partition(" ")[0]), value, point


def _sort_key(curve: Curve, point: Point, metric: QualityMetric) -> _SortKey:
    """Returns a key that sorts the best point first."""
    value = point.quality[metric].value
    return (
        len(point.lacking),
        float("inf") if value is None else -value,
        curve.strength,
        not point.by_policy,
        abs(point.threshold - 0.5),
        point.threshold,
    )


def _overrides(strength: float, point: Point, recipe: Recipe) -> Iterator[str]:
    """Yields the recipe's changes; without the threshold if the recipe's own policy gives it."""
    if strength != recipe.reweighing.strength:
        yield f"reweighing.strength={strength:g}"
    if not point.by_policy:
        yield f"evaluate.threshold={{policy: fixed, value: {point.threshold:g}}}"
