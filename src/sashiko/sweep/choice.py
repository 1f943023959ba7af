"""Which point of a sweep is recommended, and which are worth a look.

A point will do if, on the validation split, each quality gate passes (but for leads over the linear
baseline and the champion), each bias gate passes, and each gated bias metric keeps half of the
distance to its bounds as a margin for new rows (`sweep.margin`). Of those that will do, the one
with the highest value of the metric that the recipe's threshold is chosen by is recommended; of
equal ones that of the lower strength, then that of the recipe's own threshold policy, then the one
with the threshold nearest to 0.5.
"""

import shlex
from collections.abc import Iterator, Sequence

from sashiko.recipe import Recipe
from sashiko.recipe_quality import QualityMetric
from sashiko.sweep.margin import distance
from sashiko.sweep.record import Chosen, Curve, Point

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
