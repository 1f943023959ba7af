"""Writes a sweep's page: trade-offs of each gate, points, and the choice in words."""

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from sashiko.bias.metrics.number_bias import ALL_METRICS, NUMBER_METRICS
from sashiko.evaluation.metrics.uncertainty import Estimate
from sashiko.report import svg, words
from sashiko.report.views import (
    Cell,
    Chapter,
    Fact,
    Figure,
    Outcome,
    Page,
    Row,
    Section,
    Table,
    Tile,
    row,
)
from sashiko.settings.recipe_bias import BiasGate
from sashiko_packs.selection.record import direction, metric_name
from sashiko_packs.selection.sweep import (
    Curve,
    Point,
    Sweep,
    SweptMetric,
    best,
    bounds,
    inner_bounds,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def headline(sweep: Sweep) -> str:
    """Returns a sentence with the recommendation, or that there is none."""
    metric, points = metric_name(sweep.metric), [p for c in sweep.curves for p in c.points]
    best_word, _ = direction(sweep.metric)
    if sweep.chosen is None:
        return (
            f"None of {len(points)} points passes every gate with a margin. The best point of each "
            "strength:"
        )
    point = sweep.chosen.point
    will_do = sum(not item.lacking for item in points)
    source = "the recipe's own threshold policy" if point.by_policy else "a fixed threshold"
    threshold = f" with {source} ({point.threshold:.3g})" if sweep.has_thresholds else ""
    return (
        f"Strength {sweep.chosen.strength:g}{threshold} has the {best_word} {metric} of the "
        f"{will_do} of {len(points)} points that pass every gate with a margin: "
        f"{measured(sweep, point)}."
    )


def choice_lines(sweep: Sweep) -> Iterator[str]:
    """Yields the changes of the recipe; without a recommendation, each strength's shortfalls."""
    if sweep.chosen is None:
        for curve in sweep.curves:
            point = best(curve, sweep.metric)
            threshold = f", threshold {point.threshold:.3g}" if sweep.has_thresholds else ""
            yield (
                f"strength {curve.strength:g}{threshold}: {measured(sweep, point)}; "
                f"{outcome(sweep, curve, point)}"
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
    parts = {words.check_title(check): figure for check, figure in point.bias.items()}
    parts[metric_name(sweep.metric)] = point.quality[sweep.metric]
    return ", ".join(f"{name} {estimate.text}" for name, estimate in parts.items())


_WIDTH, _HEIGHT = 480, 430
# Told apart by mark and dash, and from light to dark: in grey as in colour.
STYLES: tuple[dict[str, Any], ...] = (
    {"color": "#b5701c", "marker": "o", "linestyle": "-"},
    {"color": "#8fb4d6", "marker": "s", "linestyle": (0, (6, 2))},
    {"color": "#5e96c5", "marker": "D", "linestyle": (0, (3, 1.5))},
    {"color": "#2f74ae", "marker": "^", "linestyle": (0, (6, 2, 1, 2))},
    {"color": svg.DARK, "marker": "v", "linestyle": "-"},
    {"color": svg.INK, "marker": "P", "linestyle": (0, (1, 1.5))},
)
_MARKED = tuple(round(0.1 * step, 1) for step in range(1, 10))


def trade_off(sweep: Sweep, *, gate: BiasGate, check: str, metric: SweptMetric) -> Markup:
    """Draws a metric against a gate's check over the thresholds, with the gate's bounds."""
    name = metric_name(metric)
    with svg.chart(width=_WIDTH, height=_HEIGHT) as axes:
        points = [
            point for curve in sweep.curves for point in curve.points
            if point.by_policy or point.on_front or point == best(curve, sweep.metric)
        ]  # fmt: skip
        neutral = ALL_METRICS[gate.metric].neutral
        values = [*filter(math.isfinite, bounds(gate)), *(_x(point, check) for point in points)]
        low, high = svg.value_axis(axes, [v for v in values if v is not None], neutral=neutral)
        _bounds(axes, gate, limits=(low, high))
        for index, curve in enumerate(sweep.curves):
            _line(axes, curve, check, metric, **STYLES[index % len(STYLES)])
        if metric == sweep.metric:
            front = [(_x(point, check), _y(point, metric)) for point in points if point.on_front]
            axes.plot(*zip(*front, strict=True), marker="o", linestyle="none", markersize=8,
                      markerfacecolor="none", markeredgecolor=svg.MUTED,
                      label="on the front")  # fmt: skip
        _special(axes, sweep.present, check, metric, is_star=False, label="recipe as it is")
        if sweep.chosen:
            _special(axes, sweep.chosen.point, check, metric, is_star=True, label="recommended")
        axes.set_ylim(*_heights(sweep, check, metric, limits=(low, high)))
        equal = "" if gate.metric in NUMBER_METRICS else f"; {neutral:g} is no difference"
        axes.set(xlabel=f"{words.check_title(check)}{equal}", ylabel=name)
        axes.grid(True)
        axes.figure.legend(loc="outside upper center", ncols=4, title="reweighing strength",
                      title_fontsize=9, columnspacing=1.2, handletextpad=0.5)  # fmt: skip
        described = [
            f"strength {curve.strength:g} {_pair(curve.by_policy, check, metric)}"
            for curve in sweep.curves
        ]
        if sweep.chosen is None:
            described.append("no point will do")
        else:
            pair = _pair(sweep.chosen.point, check, metric)
            described.append(f"recommended: strength {sweep.chosen.strength:g}, {pair}")
        summary = "; ".join(described)
        alt = f"{name} against {check} on the validation split: {summary}."
        return svg.to_svg(axes, name=f"sweep-{svg.identifier(check)}-{metric}", alt=alt)


def _line(axes: "Axes", curve: Curve, check: str, metric: SweptMetric, **style: Any) -> None:
    """Draws a curve, with a mark at every tenth of the threshold, or its only point."""
    coordinates = [
        (point.threshold, x, y)
        for point in curve.points
        if (x := _x(point, check)) is not None and (y := _y(point, metric)) is not None
    ]
    if coordinates:
        thresholds, *both = zip(*coordinates, strict=True)
        marks = [index for index, threshold in enumerate(thresholds) if threshold in _MARKED]
        marks = marks if len(curve.points) > 1 else [0]
        axes.plot(*both, **style, linewidth=1.5, markersize=5, markevery=marks,
                  markeredgecolor="white", markeredgewidth=0.6,
                  label=f"{curve.strength:g}")  # fmt: skip


def _special(
    axes: "Axes", point: Point, check: str, metric: SweptMetric, *, is_star: bool, label: str
) -> None:
    bias, quality = point.bias[check], point.quality[metric]
    if bias.value is None or quality.value is None:
        return
    if bias.low is not None and bias.high is not None:
        axes.hlines(quality.value, bias.low, bias.high, color=svg.INK, linewidth=1.2, zorder=4)
    if quality.low is not None and quality.high is not None:
        axes.vlines(bias.value, quality.low, quality.high, color=svg.INK, linewidth=1.2, zorder=4)
    axes.plot(bias.value, quality.value, marker="*" if is_star else "s", linestyle="none", zorder=5,
              markersize=17 if is_star else 11, markerfacecolor="#ffd24d" if is_star else "none",
              markeredgecolor=svg.INK, markeredgewidth=1.4, label=label)  # fmt: skip


def _bounds(axes: "Axes", gate: BiasGate, *, limits: tuple[float, float]) -> None:
    outer, inner = bounds(gate), inner_bounds(gate)
    axes.axvspan(max(outer[0], limits[0]), min(outer[1], limits[1]), color=svg.ALLOWED, linewidth=0)
    for bound in filter(math.isfinite, outer):
        axes.axvline(bound, color=svg.INK, linewidth=1)
    for bound in filter(math.isfinite, inner):
        axes.axvline(bound, color=svg.MUTED, linewidth=1, linestyle=(0, (4, 3)))


def _heights(
    sweep: Sweep, check: str, metric: SweptMetric, *, limits: tuple[float, float]
) -> tuple[float, float]:
    """Returns limits around the visible points, without thresholds near 0 and 1."""
    heights = [
        height
        for curve in sweep.curves
        for point in curve.points
        if (x := _x(point, check)) is not None and limits[0] <= x <= limits[1]
        if (y := _y(point, metric)) is not None
        if point.by_policy or 0.1 <= point.threshold <= 0.9
        for height in ((y,) if sweep.has_thresholds else _ends(point.quality[metric], y))
    ] or [0.5]
    low, high = min(heights), max(heights)
    air = max((high - low) * 0.1, 0.02)
    return low - air, high + air


def _ends(figure: Estimate, value: float) -> tuple[float, float]:
    return value if figure.low is None else figure.low, figure.high or value


def _pair(point: Point, check: str, metric: SweptMetric) -> str:
    bias, quality = _x(point, check), _y(point, metric)
    if bias is None or quality is None:
        return f"undefined at threshold {point.threshold:.2f}"
    return f"{quality:.3f} at {bias:.2f} (threshold {point.threshold:.2f})"


def _x(point: Point, check: str) -> float | None:
    return point.bias[check].value


def _y(point: Point, metric: SweptMetric) -> float | None:
    return point.quality[metric].value


_CAPTION = (
    "Validation split. A curve runs over the thresholds, with a mark at every tenth from 0.1 to "
    "0.9. Shaded: what the gate allows; between the dashed lines the margin is kept too. Crosses: "
    "95 % intervals."
)
_ONE_EACH = (
    "Validation split. A mark for each strength. Shaded: what the gate allows; between the dashed "
    "lines the margin is kept too. Crosses: 95 % intervals."
)
_PAIR: tuple[SweptMetric, ...] = ("accuracy", "balanced_accuracy", "f1")
_CLASSES = ("macro_f1", "worst_class_recall", "log_loss")
_NUMBERS = ("rmse", "r2", "interval_coverage")


def shown_metrics(sweep: Sweep) -> tuple[str, ...]:
    """Returns the metrics of a point that the page's table shows."""
    if sweep.has_thresholds:
        return _PAIR
    return _CLASSES if sweep.metric in _CLASSES else _NUMBERS


def trade_off_figures(sweep: Sweep) -> tuple[Figure, ...]:
    """Draws accuracy, and the sweep's metric, against each bias gate's metric."""
    metrics: dict[SweptMetric, None] = {sweep.metric: None}
    if sweep.has_thresholds:
        metrics["accuracy"] = None
    return tuple(
        Figure(
            title=f"{_name(metric)} against {words.check_title(check)}",
            svg=trade_off(sweep, gate=gate, check=check, metric=metric),
            caption=_CAPTION if sweep.has_thresholds else _ONE_EACH,
        )
        for gate, check in _gates(sweep)
        for metric in metrics
    )


def strengths_table(sweep: Sweep) -> Table:
    """Shows the best threshold of each strength, and that of the recipe's own policy."""
    title = "Each strength at its best threshold, and at that of the recipe's own policy"
    best_word, _ = direction(sweep.metric)
    return Table(
        title=title if sweep.has_thresholds else "Each strength",
        columns=_columns(sweep),
        rows=tuple(_row(sweep, curve, point) for curve, point in shown_points(sweep)),
        note="In brackets: 95 % bootstrap intervals. Best: the fewest failed checks and margins, "
        f"then the {best_word} {metric_name(sweep.metric)}.",
    )


def text_rows(table: Table) -> list[list[str]]:
    """Returns the rows of a table for the terminal, its heading first."""
    rows = ([f"{cell.text} {cell.interval}".strip() for cell in row.cells] for row in table.rows)
    return [list(table.columns), *rows]


def _gates(sweep: Sweep) -> Iterator[tuple[BiasGate, str]]:
    """Yields each bias gate's check once, with its first gate."""

    def is_of(gate: BiasGate, check: str) -> bool:
        groups = check.removeprefix(f"{gate.metric} ")
        return groups != check and all(f" & {facet}=" in f" & {groups}" for facet in gate.facets)

    # A facet's gate is named by the beginning of what an intersection's is named by.
    gates = sorted(sweep.recipe.bias.prediction_gates, key=lambda gate: -len(gate.facets))
    for check in sweep.checks:
        yield next((gate, check) for gate in gates if is_of(gate, check))


def _columns(sweep: Sweep) -> tuple[str, ...]:
    metrics = (_name(name) for name in shown_metrics(sweep))
    checks = map(words.check_title, sweep.checks)
    if not sweep.has_thresholds:
        return ("strength", *checks, *metrics, "outcome")
    return ("strength", "threshold", *checks, *metrics, "AUC", "outcome")


def _row(sweep: Sweep, curve: Curve, point: Point) -> Row:
    text = outcome(sweep, curve, point)
    threshold, auc = [], []
    if sweep.has_thresholds:
        policy = "by policy" if point.by_policy else ""
        threshold = [Cell(f"{point.threshold:.3g}", interval=policy, number=True)]
        auc = [words.estimate_cell(curve.quality["auc"])]
    return row(
        f"{curve.strength:g}",
        *threshold,
        *(words.estimate_cell(point.bias[check]) for check in sweep.checks),
        *(words.estimate_cell(point.quality[name]) for name in shown_metrics(sweep)),
        *auc,
        f"{text}{' (on the front)' if point.on_front else ''}",
        style="ours" if text == "recommended" else "",
    )


def _name(metric: str) -> str:
    text = {"auc": "AUC", "f1": "F1"}.get(metric, metric_name(metric))
    return text[:1].upper() + text[1:]


_RULE = (
    "A point, which is a strength{threshold}, will do if each quality gate passes (but for "
    "leads over the linear baseline and the champion), each bias gate passes, and each gated bias "
    "metric{comparing} keeps half of the distance to its bounds, as a margin for new rows.",
    "Of the points that will do, the one with the {best} {metric} is recommended; of equal ones "
    "that of the lower strength.",
    "All of it is measured on the validation split. No row of the test split was read or scored, "
    "so the run that follows can still judge the choice on the test split.",
    "The best of many points looks better than it is, and another training seed gives other "
    "points: the intervals say how much the rows alone leave open.",
    "On the front: no other point has as {high} {metric} and lies as near to no difference in "
    "{check}, and is better in one of the two.",
)


def sweep_view(sweep: Sweep) -> Page:
    """Makes the view of a sweep's page."""
    best_word, _ = direction(sweep.metric)
    said = {
        "metric": metric_name(sweep.metric), "check": sweep.checks[0], "best": best_word,
        "high": "low an" if best_word == "lowest" else "high a",
        "threshold": " and a threshold" if sweep.has_thresholds else "",
        "comparing": "" if sweep.has_thresholds else " that compares groups",
    }  # fmt: skip
    statements = tuple(text.format(**said) for text in _RULE)
    sections = (
        Section("trade-off", "Trade-off", figures=trade_off_figures(sweep)),
        Section("points", "Points", tables=(strengths_table(sweep),)),
        Section("rule", "How it is chosen", statements=statements, facts=_facts(sweep)),
    )
    return Page(
        title=f"Sweep: {sweep.recipe.name}",
        subject=f"sweep {sweep.id}",
        outcome=Outcome(
            kind="waiting" if sweep.chosen else "blocked",
            word="A point will do - not judged on the test split" if sweep.chosen
            else "No point will do",
            headline=headline(sweep),
            details=tuple(choice_lines(sweep)),
            commands=(sweep.chosen.command,) if sweep.chosen else (),
        ),
        tiles=tuple(_tiles(sweep)),
        chapters=(Chapter("", sections),),
        source=f"`sweep.json` of sweep `{sweep.id}`, which holds every point",
    )  # fmt: skip


def _tiles(sweep: Sweep) -> Iterator[Tile]:
    """Yields the figures of the recommended point, on the validation split."""
    if sweep.chosen is None:
        return
    point = sweep.chosen.point
    yield Tile("Strength", f"{sweep.chosen.strength:g}", note="of reweighing")
    if sweep.has_thresholds:
        yield Tile("Threshold", f"{point.threshold:.3g}", note="the same for everybody")
    figures = {_name(sweep.metric): point.quality[sweep.metric]}
    figures |= {words.check_title(check): point.bias[check] for check in sweep.checks}
    for name, estimate in figures.items():
        cell = words.estimate_cell(estimate)
        yield Tile(name, cell.text, cell.interval, "on the validation split")


def _facts(sweep: Sweep) -> tuple[Fact, ...]:
    margins = (
        f"{gate.metric} of {' & '.join(gate.facets)}: {low:.3g} to {high:.3g}"
        for gate in sweep.recipe.bias.prediction_gates
        for low, high in (inner_bounds(gate),)
    )
    return (
        Fact("rows of validation", f"{sweep.rows:,}"),
        Fact("training seed", str(sweep.recipe.train.seed)),
        Fact("bounds with margin", "; ".join(margins)),
        Fact("runs", "; ".join(f"{curve.strength:g}: {curve.run}" for curve in sweep.curves)),
        *(Fact(f"{name}, sha256", digest, code=True) for name, digest in sweep.inputs.items()),
    )
