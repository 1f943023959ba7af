"""A sweep's points: a quality metric against a gated bias metric, a curve per strength."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from sashiko.bias.metrics.bias import METRICS
from sashiko.report import svg
from sashiko.settings.bias import BiasGate
from sashiko.settings.quality import QualityMetric
from sashiko_packs.selection.sweep.sweep import Point, Sweep, best, bounds, inner_bounds

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_WIDTH, _HEIGHT = 480, 430
# Told apart by mark and dash, and from light to dark: in grey as in colour.
_LINES: tuple[dict[str, Any], ...] = (
    {"color": "#b5701c", "marker": "o", "linestyle": "-"},
    {"color": "#8fb4d6", "marker": "s", "linestyle": (0, (6, 2))},
    {"color": "#5e96c5", "marker": "D", "linestyle": (0, (3, 1.5))},
    {"color": "#2f74ae", "marker": "^", "linestyle": (0, (6, 2, 1, 2))},
    {"color": svg.DARK, "marker": "v", "linestyle": "-"},
    {"color": svg.INK, "marker": "P", "linestyle": (0, (1, 1.5))},
)
_MARKED = tuple(round(0.1 * step, 1) for step in range(1, 10))


def trade_off(sweep: Sweep, *, gate: BiasGate, check: str, metric: QualityMetric) -> Markup:
    """Draws a metric against a gate's check over the thresholds, with the gate's bounds."""
    name = metric.replace("_", " ")
    with svg.chart(width=_WIDTH, height=_HEIGHT) as axes:
        points = [
            point for curve in sweep.curves for point in curve.points
            if point.by_policy or point.on_front or point == best(curve, sweep.metric)
        ]  # fmt: skip
        neutral = METRICS[gate.metric].neutral
        values = [*filter(math.isfinite, bounds(gate)), *(_x(point, check) for point in points)]
        low, high = svg.value_axis(axes, [v for v in values if v is not None], neutral=neutral)
        _bounds(axes, gate, limits=(low, high))
        for index, curve in enumerate(sweep.curves):
            _line(axes, curve.points, check, metric, label=f"{curve.strength:g}",
                  style=_LINES[index % len(_LINES)])  # fmt: skip
        if metric == sweep.metric:
            _front(axes, points, check, metric)
        _special(axes, sweep.present, check, metric, marker="s", label="recipe as it is")
        if sweep.chosen:
            _special(axes, sweep.chosen.point, check, metric, marker="*", label="recommended")
        axes.set_ylim(*_heights(sweep, check, metric, limits=(low, high)))
        axes.set(xlabel=f"{check} ({neutral:g}: no difference)", ylabel=name)
        axes.grid(True)
        axes.figure.legend(loc="outside upper center", ncols=4, title="reweighing strength",
                      title_fontsize=9, columnspacing=1.2, handletextpad=0.5)  # fmt: skip
        summary = "; ".join(_descriptions(sweep, check, metric))
        alt = f"{name} against {check} on the validation split: {summary}."
        return svg.to_svg(axes, name=f"sweep-{svg.identifier(check)}-{metric}", alt=alt)


def _line(
    axes: "Axes",
    points: Sequence[Point],
    check: str,
    metric: QualityMetric,
    *,
    label: str,
    style: dict[str, Any],
) -> None:
    """Draws a curve, with a mark at every tenth of the threshold."""
    coordinates = [(point, _x(point, check), _y(point, metric)) for point in points]
    defined = [(x, y) for _, x, y in coordinates if x is not None and y is not None]
    marks = [
        index
        for index, (point, *_) in enumerate(item for item in coordinates if None not in item[1:])
        if point.threshold in _MARKED
    ]  # fmt: skip
    if defined:
        axes.plot(*zip(*defined, strict=True), **style, linewidth=1.5, markersize=5,
                  markevery=marks, markeredgecolor="white", markeredgewidth=0.6,
                  label=label)  # fmt: skip


def _special(
    axes: "Axes", point: Point, check: str, metric: QualityMetric, *, marker: str, label: str
) -> None:
    """Draws a highlighted point, with its intervals on both axes."""
    bias, quality = point.bias[check], point.quality[metric]
    if bias.value is None or quality.value is None:
        return
    if bias.low is not None and bias.high is not None:
        axes.hlines(quality.value, bias.low, bias.high, color=svg.INK, linewidth=1.2, zorder=4)
    if quality.low is not None and quality.high is not None:
        axes.vlines(bias.value, quality.low, quality.high, color=svg.INK, linewidth=1.2, zorder=4)
    axes.plot(bias.value, quality.value, marker=marker, linestyle="none", zorder=5,
              markersize=17 if marker == "*" else 11,
              markerfacecolor="#ffd24d" if marker == "*" else "none",
              markeredgecolor=svg.INK, markeredgewidth=1.4, label=label)  # fmt: skip


def _bounds(axes: "Axes", gate: BiasGate, *, limits: tuple[float, float]) -> None:
    """Shades the gate's allowed range, and marks its inner bounds with dashed lines."""
    outer, inner = bounds(gate), inner_bounds(gate)
    axes.axvspan(max(outer[0], limits[0]), min(outer[1], limits[1]), color=svg.ALLOWED, linewidth=0)
    for bound in filter(math.isfinite, outer):
        axes.axvline(bound, color=svg.INK, linewidth=1)
    for bound in filter(math.isfinite, inner):
        axes.axvline(bound, color=svg.MUTED, linewidth=1, linestyle=(0, (4, 3)))


def _front(axes: "Axes", points: Sequence[Point], check: str, metric: QualityMetric) -> None:
    """Rings the points of the Pareto front."""
    coordinates = [(_x(point, check), _y(point, metric)) for point in points if point.on_front]
    axes.plot(*zip(*coordinates, strict=True), marker="o", linestyle="none", markersize=8,
              markerfacecolor="none", markeredgecolor=svg.MUTED, label="on the front")  # fmt: skip


def _heights(
    sweep: Sweep, check: str, metric: QualityMetric, *, limits: tuple[float, float]
) -> tuple[float, float]:
    """Returns limits around the visible points, without thresholds near 0 and 1."""
    heights = [0.5]
    for curve in sweep.curves:
        for point in curve.points:
            x, y = _x(point, check), _y(point, metric)
            inside = x is not None and limits[0] <= x <= limits[1]
            if inside and y is not None and (point.by_policy or 0.1 <= point.threshold <= 0.9):
                heights.append(y)
    low, high = min(heights[1:] or heights), max(heights[1:] or heights)
    air = max((high - low) * 0.1, 0.02)
    return low - air, high + air


def _descriptions(sweep: Sweep, check: str, metric: QualityMetric) -> list[str]:
    """Describes each strength's point of the recipe's threshold policy, and the recommendation."""
    descriptions = [
        f"strength {curve.strength:g} {_pair(curve.by_policy, check, metric)}"
        for curve in sweep.curves
    ]
    if sweep.chosen is None:
        return [*descriptions, "no point will do"]
    pair = _pair(sweep.chosen.point, check, metric)
    return [*descriptions, f"recommended: strength {sweep.chosen.strength:g}, {pair}"]


def _pair(point: Point, check: str, metric: QualityMetric) -> str:
    bias, quality = _x(point, check), _y(point, metric)
    if bias is None or quality is None:
        return f"undefined at threshold {point.threshold:.2f}"
    return f"{quality:.3f} at {bias:.2f} (threshold {point.threshold:.2f})"


def _x(point: Point, check: str) -> float | None:
    return point.bias[check].value


def _y(point: Point, metric: QualityMetric) -> float | None:
    return point.quality[metric].value
