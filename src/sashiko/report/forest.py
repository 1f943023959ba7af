"""Bias metrics with their intervals and the allowed range, as one picture per metric."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from markupsafe import Markup

from sashiko.report.svg import (
    ALLOWED,
    DARK,
    INK,
    MUTED,
    axes_of,
    identifier,
    new_figure,
    shorten,
    styled,
    to_svg,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_WIDTH = 440
_ROW_HEIGHT = 30
_RATIOS = frozenset({"DI"})
_SMALLEST_RATIO = 0.02  # on a logarithmic axis 0 has no place


@dataclass(frozen=True)
class ForestRow:
    """One line of the picture: a bias metric of one group, measured on the test split.

    Attributes:
        group: facet and value, such as `gender=female`.
        value: the point estimate.
        low: lower end of its 95 % interval, or None if there is none.
        high: upper end, or None.
        allowed: the gate's range, infinite where it is open; None if there is no gate.
        passed: the gate's outcome; None where the metric is reported and not gated.
    """

    group: str
    value: float
    low: float | None = None
    high: float | None = None
    allowed: tuple[float, float] | None = None
    passed: bool | None = None


def forest(metric: str, rows: Sequence[ForestRow]) -> Markup:
    """Draws each group's estimate and interval; a ratio's axis is logarithmic.

    Args:
        metric: the metric of all the rows.
        rows: in the order to draw, at least one.

    Returns:
        Filled marks are gated, hollow ones reported only; the allowed range is shaded.
    """
    neutral = 1.0 if metric in _RATIOS else 0.0
    with styled():
        figure = new_figure(width=_WIDTH, height=70 + _ROW_HEIGHT * len(rows))
        axes = axes_of(figure)
        low, high = _limits(rows, neutral=neutral)
        if neutral:
            axes.set_xscale("log")
            _ratio_ticks(axes, low, high)
        axes.set(xlim=(low, high), ylim=(-0.6, len(rows) - 0.4))
        axes.axvline(neutral, color=MUTED, linewidth=1, linestyle=(0, (4, 3)))
        for at, row in enumerate(reversed(rows)):
            _draw(axes, at, row, limits=(low, high))
        names = [shorten(row.group) for row in reversed(rows)]
        axes.set_yticks(range(len(rows)), names)
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)
        axes.set_xlabel(f"{metric} ({neutral:.0f}: no difference)")
        alt = f"{metric}: " + "; ".join(_say(row) for row in rows) + "."
        return to_svg(figure, name=f"forest-{identifier(metric)}", alt=alt)


def _draw(axes: "Axes", at: int, row: ForestRow, *, limits: tuple[float, float]) -> None:
    if row.allowed is not None:
        left, right = max(row.allowed[0], limits[0]), min(row.allowed[1], limits[1])
        axes.fill_between([left, right], at - 0.42, at + 0.42, color=ALLOWED, linewidth=0)
        for bound in row.allowed:
            if math.isfinite(bound):
                axes.vlines(bound, at - 0.42, at + 0.42, color=INK, linewidth=1)
    if row.low is not None and row.high is not None:
        axes.hlines(at, max(row.low, limits[0]), row.high, color=DARK, linewidth=1.8)
    shape = "X" if row.passed is False else "o"
    face = "white" if row.passed is None else DARK
    axes.plot(max(row.value, limits[0]), at, marker=shape, markersize=9, markerfacecolor=face,
              markeredgecolor="white" if row.passed is False else DARK,
              markeredgewidth=1.2)  # fmt: skip
    axes.annotate(
        f"{round(row.value, 2) + 0.0:.2f}",  # never a negative zero
        (1.01, at), xycoords=("axes fraction", "data"), va="center", fontsize=9.5,
        fontweight="normal" if row.passed is None else "bold",
    )  # fmt: skip


def _limits(rows: Sequence[ForestRow], *, neutral: float) -> tuple[float, float]:
    """Spans all that is drawn, and some air; for ratios the same air on the logarithmic scale."""
    shown = [neutral]
    for row in rows:
        parts = (row.value, row.low, row.high, *(row.allowed or ()))
        shown += [part for part in parts if part is not None and math.isfinite(part)]
    if neutral:
        low, high = max(min(shown), _SMALLEST_RATIO), max(shown)
        air = max((high / low) ** 0.08, 1.1)
        return low / air, high * air
    air = max((max(shown) - min(shown)) * 0.08, 0.02)
    return min(shown) - air, max(shown) + air


def _ratio_ticks(axes: "Axes", low: float, high: float) -> None:
    from matplotlib.ticker import NullLocator

    marks = (0.02, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0, 1.25, 2.0, 4.0, 8.0, 16.0, 32.0)
    ticks = [mark for mark in marks if low <= mark <= high]
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xticks(ticks, [f"{mark:g}" for mark in ticks])


def _say(row: ForestRow) -> str:
    text = f"{row.group} {row.value:.2f}"
    if row.low is not None and row.high is not None:
        text += f", interval {row.low:.2f} to {row.high:.2f}"
    if row.passed is not None:
        text += ", inside its limits" if row.passed else ", outside its limits"
    return text
