"""A sweep's outcome in words."""

from collections.abc import Iterator

from sashiko.pipeline.sweep.choice import best
from sashiko.pipeline.sweep.record import Curve, Point, Sweep


def headline(sweep: Sweep) -> str:
    """Says in a sentence what is recommended, or that nothing is."""
    metric, count = sweep.metric.replace("_", " "), sum(len(item.points) for item in sweep.curves)
    if sweep.chosen is None:
        return (
            f"None of {count} points passes every gate with a margin. What each strength's best "
            "one comes to:"
        )
    point = sweep.chosen.point
    how = "the recipe's own threshold policy" if point.by_policy else "a fixed threshold"
    return (
        f"Strength {sweep.chosen.strength:g} with {how} ({point.threshold:.3g}) has the highest "
        f"{metric} of the {_will_do(sweep)} of {count} points that pass every gate with a margin: "
        f"{measured(sweep, point)}."
    )


def choice_lines(sweep: Sweep) -> Iterator[str]:
    """Says what to change in the recipe; where nothing will do, what stands against it."""
    if sweep.chosen is None:
        for curve in sweep.curves:
            point = best(curve, sweep.metric)
            yield (
                f"strength {curve.strength:g}, threshold {point.threshold:.3g}: "
                f"{measured(sweep, point)}; {outcome(sweep, curve, point)}"
            )
    elif not sweep.chosen.overrides:
        yield "the recipe says so already: nothing is to be changed"
    else:
        yield f"in the recipe: {', '.join(f'`{text}`' for text in _lines(sweep.chosen.overrides))}"
        yield "the run that judges it on the test split:"


def shown_points(sweep: Sweep) -> Iterator[tuple[Curve, Point]]:
    """Yields of each strength the best point, and that of the recipe's own threshold policy."""
    for curve in sweep.curves:
        found = best(curve, sweep.metric)
        yield curve, found
        if found != curve.by_policy:
            yield curve, curve.by_policy


def outcome(sweep: Sweep, curve: Curve, point: Point) -> str:
    """Says whether a point is recommended, would do, or what keeps it from it."""
    said = [("fails", point.failed), ("no margin in", point.without_margin)]
    if point.lacking:
        return "; ".join(f"{how} {', '.join(names)}" for how, names in said if names)
    chosen = sweep.chosen
    recommended = chosen and (chosen.strength, chosen.point) == (curve.strength, point)
    return "recommended" if recommended else "will do"


def measured(sweep: Sweep, point: Point) -> str:
    """Says a point's bias metrics and the metric that decides, each with its interval."""
    parts = {**point.bias, sweep.metric.replace("_", " "): point.quality[sweep.metric]}
    return ", ".join(f"{name} {found.text}" for name, found in parts.items())


def _lines(overrides: tuple[str, ...]) -> Iterator[str]:
    """Writes `key=value` as YAML has it."""
    yield from (override.replace("=", ": ", 1) for override in overrides)


def _will_do(sweep: Sweep) -> int:
    return sum(not point.lacking for curve in sweep.curves for point in curve.points)
