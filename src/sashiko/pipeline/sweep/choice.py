"""Which point of a sweep is recommended, and which are worth a look.

A point will do if, on the validation split, each quality gate passes (but for leads over the linear
baseline and the champion), each bias gate passes, and each gated bias metric keeps half of the
distance to its bounds as a margin for new rows (`keeps_margin`). Of those that will do, the one
with the highest value of the metric that the recipe's threshold is chosen by is recommended; of
equal ones that of the lower strength, then that of the recipe's own threshold policy, then the one
with the threshold nearest to 0.5.
"""

import math
import shlex
from collections.abc import Iterator, Sequence

from sashiko.evaluation.metrics.bias import METRICS
from sashiko.pipeline.sweep.record import Chosen, Curve, Point
from sashiko.settings.bias import BiasGate
from sashiko.settings.quality import QualityMetric
from sashiko.settings.recipe import Recipe


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


_Place = tuple[int, float, float, bool, float, float]


def best(curve: Curve, metric: QualityMetric) -> Point:
    """Returns the point of a curve that lacks the least; of those the best one."""
    return min(curve.points, key=lambda point: _place(curve, point, metric))


def choose(
    curves: Sequence[Curve], recipe: Recipe, *, metric: QualityMetric, command: str
) -> Chosen | None:
    """Returns the recommended point, or None if none will do.

    Args:
        curves: one per strength.
        recipe: as it stands.
        metric: by which points that will do are ordered.
        command: runs the pipeline with the recipe as it stands.
    """
    curve = min(curves, key=lambda curve: _place(curve, best(curve, metric), metric))
    point = best(curve, metric)
    if point.lacking:
        return None
    overrides = tuple(_overrides(curve.strength, point, recipe))
    return Chosen(
        strength=curve.strength,
        point=point,
        overrides=overrides,
        command=" ".join([command, *(f"--set {shlex.quote(text)}" for text in overrides)]),
    )


def marked(curves: Sequence[Curve], *, check: str, metric: QualityMetric) -> tuple[Curve, ...]:
    """Marks the Pareto front of all curves: a quality metric against one bias gate's check.

    Args:
        curves: of the sweep.
        check: name of the bias gate's check, which begins with its metric.
        metric: the higher the better.
    """
    front: set[int] = set()
    highest = float("-inf")
    for _, value, point in sorted(_measured(curves, check, metric), key=lambda at: (at[0], -at[1])):
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


def _measured(
    curves: Sequence[Curve], check: str, metric: QualityMetric
) -> Iterator[tuple[float, float, Point]]:
    """Yields distance from no difference, quality and the point itself, where both are defined."""
    for curve in curves:
        for point in curve.points:
            bias, value = point.bias[check].value, point.quality[metric].value
            if bias is not None and value is not None:
                yield distance(bias, check.partition(" ")[0]), value, point


def _place(curve: Curve, point: Point, metric: QualityMetric) -> _Place:
    """Sorts the best first."""
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
    """Yields what must change in the recipe; a threshold that its own policy gives stays out."""
    if strength != recipe.reweighing.strength:
        yield f"reweighing.strength={strength:g}"
    if not point.by_policy:
        yield f"evaluate.threshold={{policy: fixed, value: {point.threshold:g}}}"
