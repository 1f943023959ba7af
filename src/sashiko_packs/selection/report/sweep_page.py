"""Writes a sweep's page: the trade-off of each gate, points, and the choice in words."""

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

from markupsafe import Markup

from sashiko.bias.metrics.number_bias import ALL_METRICS, NUMBER_METRICS
from sashiko.report import svg, words
from sashiko.report.views import (
    Chapter,
    Fact,
    Figure,
    Outcome,
    Page,
    Section,
    Table,
    Tile,
    numeric,
    row,
)
from sashiko.settings.recipe_bias import BiasGate
from sashiko_packs.selection.record import direction, metric_name
from sashiko_packs.selection.sweep import Point, Sweep, bounds, inner_bounds

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def headline(sweep: Sweep) -> str:
    """Returns a sentence with the recommendation, or that there is none."""
    count, chosen = len(sweep.points), sweep.chosen
    if chosen is None:
        return f"None of {count} strengths passes every gate with a margin:"
    will_do = sum(not point.lacking for point in sweep.points)
    return (
        f"Strength {chosen.strength:g} has the {direction(sweep.metric)[0]} "
        f"{metric_name(sweep.metric)} of the {will_do} of {count} strengths that pass every gate "
        f"with a margin: {measured(sweep, chosen)}."
    )


def choice_lines(sweep: Sweep) -> Iterator[str]:
    """Yields the change of the recipe; without a recommendation, each strength's shortfalls."""
    if sweep.chosen is None:
        for point in sweep.points:
            said = f"{measured(sweep, point)}; {outcome(sweep, point)}"
            yield f"strength {point.strength:g}: {said}"
    elif sweep.chosen == sweep.present:
        yield "the recipe has this strength already: nothing to change"
    else:
        yield f"in the recipe: `reweighing.strength: {sweep.chosen.strength:g}`"
        yield "run this to judge it on the test split:"


def outcome(sweep: Sweep, point: Point) -> str:
    """Returns whether a point is recommended or acceptable, or its shortfalls."""
    shortfalls = [("fails", point.failed), ("no margin in", point.without_margin)]
    if point.lacking:
        return "; ".join(f"{label} {', '.join(names)}" for label, names in shortfalls if names)
    return "recommended" if point == sweep.chosen else "will do"


def measured(sweep: Sweep, point: Point) -> str:
    """Formats a point's bias metrics and the sweep's metric, each with its interval."""
    parts = {words.check_title(check): figure for check, figure in point.bias.items()}
    parts[metric_name(sweep.metric)] = point.quality[sweep.metric]
    return ", ".join(f"{name} {estimate.text}" for name, estimate in parts.items())


def trade_off(sweep: Sweep, *, gate: BiasGate, check: str) -> Markup:
    """Draws the sweep's metric against a gate's check, a mark each strength, with its bounds."""
    name, described = metric_name(sweep.metric), []
    measured_points = [
        (point, x, y)
        for point in sweep.points
        if (x := point.bias[check].value) is not None
        if (y := point.quality[sweep.metric].value) is not None
    ]
    with svg.chart(width=480, height=400) as axes:
        neutral = ALL_METRICS[gate.metric].neutral
        values = [*filter(math.isfinite, bounds(gate)), *(x for _, x, _ in measured_points)]
        _bounds(axes, gate, limits=svg.value_axis(axes, values, neutral=neutral))
        axes.plot([x for _, x, _ in measured_points], [y for *_, y in measured_points],
                  color=svg.MUTED, linewidth=1)  # fmt: skip
        for point, x, y in measured_points:
            bias, quality = point.bias[check], point.quality[sweep.metric]
            if bias.low is not None and bias.high is not None:
                axes.hlines(y, bias.low, bias.high, color=svg.MUTED, linewidth=1)
            if quality.low is not None and quality.high is not None:
                axes.vlines(x, quality.low, quality.high, color=svg.MUTED, linewidth=1)
            chosen = point == sweep.chosen
            marker = "*" if chosen else "s" if point == sweep.present else "o"
            axes.plot(x, y, marker=marker, markersize=17 if chosen else 8, zorder=5,
                      color=svg.LIGHT if chosen else svg.DARK, markeredgecolor=svg.INK)  # fmt: skip
            axes.annotate(f"{point.strength:g}", (x, y), textcoords="offset points", xytext=(7, 7))
            described.append(f"strength {point.strength:g} {y:.3f} at {x:.2f}")
        equal = "" if gate.metric in NUMBER_METRICS else f"; {neutral:g} is no difference"
        axes.set(xlabel=f"{words.check_title(check)}{equal}", ylabel=name)
        axes.grid(True)
        end = f"recommended: strength {sweep.chosen.strength:g}" if sweep.chosen else "none will do"
        alt = f"{name} against {check} on the validation split: {'; '.join([*described, end])}."
        return svg.to_svg(axes, name=f"sweep-{svg.identifier(check)}", alt=alt)


def _bounds(axes: "Axes", gate: BiasGate, *, limits: tuple[float, float]) -> None:
    outer, inner = bounds(gate), inner_bounds(gate)
    axes.axvspan(max(outer[0], limits[0]), min(outer[1], limits[1]), color=svg.ALLOWED, linewidth=0)
    for bound in filter(math.isfinite, outer):
        axes.axvline(bound, color=svg.INK, linewidth=1)
    for bound in filter(math.isfinite, inner):
        axes.axvline(bound, color=svg.MUTED, linewidth=1, linestyle=(0, (4, 3)))


_CAPTION = (
    "Validation split. A mark for each strength, which stands beside it: a star is recommended, a "
    "square is the recipe as it is. Shaded: what the gate allows; between the dashed lines the "
    "margin is kept too. Crosses: 95 % intervals."
)
_PAIR = ("accuracy", "balanced_accuracy", "f1", "auc")
_CLASSES = ("macro_f1", "worst_class_recall", "log_loss")
_NUMBERS = ("rmse", "r2", "interval_coverage")


def shown_metrics(sweep: Sweep) -> tuple[str, ...]:
    """Returns the metrics of a point that the page's table shows."""
    return next((names for names in (_CLASSES, _NUMBERS) if sweep.metric in names), _PAIR)


def trade_off_figures(sweep: Sweep) -> tuple[Figure, ...]:
    """Draws the sweep's metric against each bias gate's metric."""
    return tuple(
        Figure(
            title=f"{_name(sweep.metric)} against {words.check_title(check)}",
            svg=trade_off(sweep, gate=gate, check=check),
            caption=_CAPTION,
        )
        for gate, check in _gates(sweep)
    )


def strengths_table(sweep: Sweep) -> Table:
    """Shows each strength at the threshold of the recipe's own policy."""
    metrics = shown_metrics(sweep)
    threshold = ("threshold",) if metrics is _PAIR else ()
    names = (*map(words.check_title, sweep.checks), *map(_name, metrics))
    rows = []
    for point in sweep.points:
        text = outcome(sweep, point)
        rows.append(
            row(
                f"{point.strength:g}",
                *(numeric(f"{point.threshold:.3g}") for _ in threshold),
                *(words.estimate_cell(point.bias[check]) for check in sweep.checks),
                *(words.estimate_cell(point.quality[metric]) for metric in metrics),
                text,
                style="ours" if text == "recommended" else "",
            )
        )
    return Table(
        title="Each strength",
        columns=("strength", *threshold, *names, "outcome"),
        rows=tuple(rows),
        note="In brackets: 95 % bootstrap intervals.",
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


def _name(metric: str) -> str:
    text = {"auc": "AUC", "f1": "F1"}.get(metric, metric_name(metric))
    return text[:1].upper() + text[1:]


_RULE = (
    "A strength will do if each quality gate passes (but for leads over the linear baseline and "
    "the champion), each bias gate passes, and each gated bias metric that compares groups keeps "
    "half of the distance to its bounds, as a margin for new rows.",
    "Of those that will do, the one with the {best} {metric} is recommended; of equal ones the "
    "lower one.",
    "All of it is measured on the validation split. No row of the test split was read or scored, "
    "so the run that follows can still judge the choice on the test split.",
    "The best of several points looks better than it is, and another training seed gives other "
    "points: the intervals say how much the rows alone leave open.",
)


def sweep_view(sweep: Sweep) -> Page:
    """Makes the view of a sweep's page."""
    said = {"best": direction(sweep.metric)[0], "metric": metric_name(sweep.metric)}
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
            word="A strength will do - not judged on the test split" if sweep.chosen
            else "No strength will do",
            headline=headline(sweep),
            details=tuple(choice_lines(sweep)),
            commands=(sweep.command,) if sweep.command else (),
        ),
        tiles=tuple(_tiles(sweep)),
        chapters=(Chapter("", sections),),
        source=f"`sweep.json` of sweep `{sweep.id}`, which holds every point",
    )  # fmt: skip


def _tiles(sweep: Sweep) -> Iterator[Tile]:
    """Yields the figures of the recommended strength, on the validation split."""
    if (point := sweep.chosen) is None:
        return
    yield Tile("Strength", f"{point.strength:g}", note="of reweighing")
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
        Fact("runs", "; ".join(f"{point.strength:g}: {point.run}" for point in sweep.points)),
        *(Fact(f"{name}, sha256", digest, code=True) for name, digest in sweep.inputs.items()),
    )
