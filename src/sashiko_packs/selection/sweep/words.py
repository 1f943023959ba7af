"""A sweep's outcome as text."""

from collections.abc import Iterator

from sashiko_packs.selection.sweep.sweep import Curve, Point, Sweep, best


def headline(sweep: Sweep) -> str:
    """Returns a sentence with the recommendation, or that there is none."""
    metric, points = sweep.metric.replace("_", " "), [p for c in sweep.curves for p in c.points]
    if sweep.chosen is None:
        return (
            f"None of {len(points)} points passes every gate with a margin. The best point of each "
            "strength:"
        )
    point = sweep.chosen.point
    will_do = sum(not item.lacking for item in points)
    source = "the recipe's own threshold policy" if point.by_policy else "a fixed threshold"
    return (
        f"Strength {sweep.chosen.strength:g} with {source} ({point.threshold:.3g}) has the highest "
        f"{metric} of the {will_do} of {len(points)} points that pass every gate with a margin: "
        f"{measured(sweep, point)}."
    )


def choice_lines(sweep: Sweep) -> Iterator[str]:
    """Yields the changes of the recipe; without a recommendation, each strength's shortfalls."""
    if sweep.chosen is None:
        for curve in sweep.curves:
            point = best(curve, sweep.metric)
            yield (
                f"strength {curve.strength:g}, threshold {point.threshold:.3g}: "
                f"{measured(sweep, point)}; {outcome(sweep, curve, point)}"
            )
    elif not sweep.chosen.overrides:
        yield "the recipe has these values already: nothing to change"
    else:
        lines = (override.replace("=", ": ", 1) for override in sweep.chosen.overrides)
        yield f"in the recipe: {', '.join(f'`{text}`' for text in lines)}"
        yield "run this to judge it on the test split:"


def shown_points(sweep: Sweep) -> Iterator[tuple[Curve, Point]]:
    """Yields the best point of each strength, and that of the recipe's own threshold policy."""
    for curve in sweep.curves:
        best_point = best(curve, sweep.metric)
        yield curve, best_point
        if best_point != curve.by_policy:
            yield curve, curve.by_policy


def outcome(sweep: Sweep, curve: Curve, point: Point) -> str:
    """Returns whether a point is recommended or acceptable, or its shortfalls."""
    shortfalls = [("fails", point.failed), ("no margin in", point.without_margin)]
    if point.lacking:
        return "; ".join(f"{label} {', '.join(names)}" for label, names in shortfalls if names)
    chosen = sweep.chosen
    recommended = chosen and (chosen.strength, chosen.point) == (curve.strength, point)
    return "recommended" if recommended else "will do"


def measured(sweep: Sweep, point: Point) -> str:
    """Formats a point's bias metrics and the sweep's metric, each with its interval."""
    parts = {**point.bias, sweep.metric.replace("_", " "): point.quality[sweep.metric]}
    return ", ".join(f"{name} {estimate.text}" for name, estimate in parts.items())
