"""The monitor's plots over time: each returns one SVG with its text alternative.

An alarm, an ok and a window that was not judged have different shapes, not different colours alone.
"""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from sashiko.report import svg
from sashiko_packs.monitoring.checks import DISPARATE_IMPACT, MonitorCheck, Outcome
from sashiko_packs.monitoring.report.monitor_axes import (
    BAD,
    DASHED,
    DOTTED,
    draw_marks,
    legend,
    line_handle,
    mark_size,
    outcome_handles,
    over_time,
    plain,
)
from sashiko_packs.monitoring.report.monitor_history import (
    History,
    change_check,
    days,
    gate_checks,
    middle,
    relative,
    version_rows,
    worst,
)
from sashiko_packs.monitoring.result import Disparity, MonitorResult
from sashiko_packs.monitoring.window import GATE_SUFFIX

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_OUTCOMES: tuple[Outcome, ...] = ("ok", "alarm", "not judged")
_ROW = 19  # pixels of a row of outcomes
_STRIP = 34  # pixels of a drift's strip
_HIGHEST_RATIO = 3.0  # of disparate impact; higher ones are drawn at the top
_HIGHEST = 2.0  # multiple of the tolerance at which a drift is cut off


def outcomes(history: History, names: Sequence[str], others: Sequence[str]) -> Markup:
    """Draws the outcome of checks by window, a row for each.

    Args:
        history: of the windows.
        names: of the checks that have their own row.
        others: of those that share the last row.
    """
    rows = [(name, [*history.checks(name)]) for name in names]
    if others:
        rows.append((f"{len(others)} other checks", _together(history, set(others))))
    with over_time(history, height=96 + _ROW * len(rows)) as axes:
        size = mark_size(history)
        for index, (_, checks) in enumerate(reversed(rows)):
            points = [(middle(result), float(index), check.outcome) for result, check in checks]
            draw_marks(axes, points, size=size)
        axes.set_yticks(range(len(rows)), [_short(name) for name, _ in reversed(rows)])
        axes.tick_params(axis="y", length=0)
        axes.set_ylim(-0.7, len(rows) - 0.3)
        axes.spines["left"].set_visible(False)
        axes.grid(True, axis="y")
        legend(axes, outcome_handles(), columns=4)
        alt = f"Outcome of {len(rows)} rows of checks in {len(history.results)} windows: " + (
            "; ".join(_count_outcomes(name, checks) for name, checks in rows)
        )
        return svg.to_svg(axes, name="outcomes", alt=f"{alt}.")


def drift(history: History, names: Sequence[str]) -> Markup:
    """Draws the size of drifts by window, as multiples of their tolerances, a strip for each."""
    with over_time(history, height=96 + _STRIP * len(names)) as axes:
        size, described = mark_size(history), []
        for index, name in enumerate(reversed(names)):
            checks = [*history.checks(name)]
            described.append(_strip(axes, checks, base=float(index), size=size))
        axes.set_yticks([index + 0.2 for index in range(len(names))],
                        [plain(name) for name in reversed(names)])  # fmt: skip
        axes.tick_params(axis="y", length=0)
        axes.set_ylim(-0.15, len(names))
        axes.spines["left"].set_visible(False)
        legend(
            axes,
            [*outcome_handles(), line_handle("tolerance", color=BAD, linestyle=DASHED)],
            columns=4,
        )
        alt = f"Drift by window, relative to its tolerance: {'; '.join(reversed(described))}."
        return svg.to_svg(axes, name="drift", alt=alt)


def disparity(history: History, facet: str, group: str) -> Markup:
    """Draws a group's disparate impact by window with its interval, against its reference."""
    points = [*history.disparities(facet, group)]
    with over_time(history, height=300) as axes:
        axes.axhline(1.0, color=svg.MUTED, linewidth=0.8, linestyle=DOTTED)
        values = [1.0]
        for result, point in points:
            values += _disparity_bounds(axes, result, point)
            if point.low is not None and point.high is not None:
                axes.vlines(middle(result), point.low, point.high, color=svg.DARK, linewidth=1.2)
            values += [v for v in (point.window, point.low, point.high) if v is not None]
        low, high = min(values), min(max(values), _HIGHEST_RATIO)
        air = max((high - low) * 0.1, 0.05)
        bottom, top = max(low - air, 0.0), high + air
        axes.set(ylim=(bottom, top), ylabel="disparate impact")
        draw_marks(
            axes,
            [
                (middle(result), bottom if point.window is None else min(point.window, top),
                 _disparity_outcome(result, point))
                for result, point in points
            ],
            size=mark_size(history),
        )  # fmt: skip
        axes.grid(True, axis="y")
        lines = [line_handle("reference", color=svg.INK),
                 line_handle("lowest tolerated change", color=BAD, linestyle=DASHED)]  # fmt: skip
        if any(gate_checks(result, point) for result, point in points):
            lines.append(line_handle("bound of a gate", color=BAD, linestyle=DOTTED))
        legend(axes, [*outcome_handles(), *lines], columns=3)
        alt = f"Disparate impact of {facet}: {group}, by window: {_say_disparity(points)}."
        name = f"disparity-{svg.identifier(facet)}-{svg.identifier(group)}"
        return svg.to_svg(axes, name=name, alt=alt)


def rows(history: History) -> Markup:
    """Draws the rows of each window; hatched where nothing but the capture could be judged."""
    from matplotlib.patches import Patch

    with over_time(history, height=250) as axes:
        for result in history.results:
            width = (days(result.end) - days(result.start)) * 0.86
            axes.bar(middle(result), version_rows(result), width=width,
                     **_bar(is_judged=_is_judged(result)))  # fmt: skip
        axes.set(ylabel="rows")
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
        axes.set_ylim(0, max(*(version_rows(result) for result in history.results), 10) * 1.1)
        axes.grid(True, axis="y")
        legend(axes, [Patch(label="judged", **_bar(is_judged=True)),
                      Patch(label="not judged", **_bar(is_judged=False))])  # fmt: skip
        counts = [version_rows(result) for result in history.results]
        alt = (
            f"Rows by window: {counts[-1]:,} in the last one, from {min(counts):,} to "
            f"{max(counts):,} in {len(counts)} windows."
        )
        return svg.to_svg(axes, name="rows", alt=alt)


def _strip(
    axes: "Axes",
    checks: Sequence[tuple[MonitorResult, MonitorCheck]],
    *,
    base: float,
    size: float,
) -> str:
    """Draws a drift's sizes above `base`, whose strip is 0.8 high, and describes the last one."""
    height = 0.8 / _HIGHEST
    sizes = [relative(check) for _, check in checks]
    x = [middle(result) for result, _ in checks]
    y = [base if s is None else base + min(s, _HIGHEST) * height for s in sizes]
    axes.axhline(base, color=svg.RULE, linewidth=0.6)
    axes.axhline(base + height, color=BAD, linewidth=0.8, linestyle=DASHED)
    axes.plot(x, [math.nan if s is None else v for s, v in zip(sizes, y, strict=True)],
              color=svg.DARK, linewidth=0.9)  # fmt: skip
    outcomes = [check.outcome for _, check in checks]
    draw_marks(axes, zip(x, y, outcomes, strict=True), size=size)
    name, last = checks[-1][1].name, sizes[-1]
    text = "–" if last is None else f"{last:.1f} ×"
    axes.annotate(text, (1.02, base + 0.2), xycoords=("axes fraction", "data"), va="center",
                  fontsize=9, fontweight="bold" if checks[-1][1].outcome == "alarm" else "normal"
                  )  # fmt: skip
    return f"{name} {text} ({checks[-1][1].outcome})"


def _disparity_outcome(result: MonitorResult, point: Disparity) -> Outcome:
    change = change_check(result, point)
    return worst([*([change] if change else []), *gate_checks(result, point)])


def _disparity_bounds(axes: "Axes", result: MonitorResult, point: Disparity) -> list[float]:
    """Draws what a window's disparate impact is compared with, and returns it."""
    ends, bounds = (days(result.start), days(result.end)), []
    if point.reference is not None:
        axes.hlines(point.reference, *ends, color=svg.INK, linewidth=1.2)
        bounds.append(point.reference)
    change = change_check(result, point)
    if change and change.tolerance > 0:
        axes.hlines(change.tolerance, *ends, color=BAD, linewidth=1.2, linestyle=DASHED)
        bounds.append(change.tolerance)
    for gate in gate_checks(result, point):
        axes.hlines(gate.tolerance, *ends, color=BAD, linewidth=1.6, linestyle=DOTTED)
        bounds.append(gate.tolerance)
    return bounds


def _say_disparity(points: Sequence[tuple[MonitorResult, Disparity]]) -> str:
    last = points[-1][1]
    if last.window is None:
        text = "none in the last window"
    else:
        text = f"{last.window:.2f} in the last window"
        if last.low is not None and last.high is not None:
            text += f", interval {last.low:.2f} to {last.high:.2f}"
    return text + (f"; reference {last.reference:.2f}" if last.reference is not None else "")


def _short(name: str) -> str:
    return plain(name.removesuffix(GATE_SUFFIX).replace(DISPARATE_IMPACT, "DI"))


def _together(history: History, names: set[str]) -> list[tuple[MonitorResult, MonitorCheck]]:
    """Returns one check for several: the first of those that have their overall outcome."""
    both = []
    for result in history.results:
        checks = [check for check in result.checks if check.name in names]
        both += [(result, c) for c in checks if c.outcome == worst(checks)][:1]
    return both


def _count_outcomes(name: str, checks: Sequence[tuple[MonitorResult, MonitorCheck]]) -> str:
    counts = [
        f"{count} {outcome}"
        for outcome in _OUTCOMES
        if (count := sum(check.outcome == outcome for _, check in checks))
    ]
    return f"{name} {', '.join(counts)}"


def _is_judged(result: MonitorResult) -> bool:
    """Says whether anything of a window was judged besides its capture."""
    return any(c.outcome != "not judged" for c in result.checks if c.kind != "capture")


def _bar(*, is_judged: bool) -> dict[str, Any]:
    style = {"edgecolor": svg.DARK, "linewidth": 0.7}
    return style | (
        {"facecolor": svg.DARK} if is_judged else {"facecolor": "white", "hatch": "////"}
    )
