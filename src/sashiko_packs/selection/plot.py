"""Quality against cost: a point per candidate."""

import math
from collections import Counter
from typing import TYPE_CHECKING

from markupsafe import Markup

from sashiko.report import svg
from sashiko_packs.selection.record import CandidateRecord, SelectionRecord
from sashiko_packs.selection.words import cost, outcome

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_WIDTH, _HEIGHT = 640, 400
_ROOM = 3.0  # beyond the lowest and the highest cost, as a factor
_BESIDE = 1.1  # between candidates of the same cost, as a factor


def quality_against_cost(record: SelectionRecord) -> Markup:
    """Draws each measured candidate's metric with its interval against its cost per million.

    A candidate whose cost is not known stands at the right, beyond a line.
    """
    from matplotlib.ticker import LogLocator, NullLocator

    metric = record.selection.metric
    name = metric.replace("_", " ")
    items = [item for item in record.candidates if item.measured]
    known = [item.cost.usd for item in items if item.cost.usd]
    low, high = (min(known) / _ROOM, max(known) * _ROOM) if known else (1.0, 10.0)
    unknown = high * math.sqrt(_ROOM)
    with svg.chart(width=_WIDTH, height=_HEIGHT) as axes:
        axes.set_xscale("log")
        beside: Counter[float | None] = Counter()
        for item in items:
            place = beside[item.cost.usd]
            beside[item.cost.usd] += 1
            _point(axes, item, metric, x=(item.cost.usd or unknown) * _BESIDE**place, place=place)
        right = high
        if any(not item.cost.usd for item in items):
            axes.axvline(high, color=svg.MUTED, linewidth=1, linestyle=(0, (4, 3)))
            axes.annotate("cost unknown", (unknown, 1.0), xycoords=("data", "axes fraction"),
                          ha="center", va="bottom", fontsize=9)  # fmt: skip
            right = high * _ROOM
        axes.set_xlim(low, right)
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_major_formatter(lambda value, _: f"${value:,.10g}")
        axes.set(xlabel="US dollars for a million predictions", ylabel=name)
        axes.grid(True)
        summary = "; ".join(
            f"{item.name} {item.metrics[metric].text} at {cost(item)}, {outcome(item, record)}"
            for item in items
        )
        alt = f"{name} against the cost of a million predictions: {summary}."
        return svg.to_svg(axes, name="selection", alt=alt)


def _point(axes: "Axes", item: CandidateRecord, metric: str, *, x: float, place: int) -> None:
    """Draws a candidate: a star if it is chosen, hollow if it is dropped."""
    figure = item.metrics[metric]
    if figure.value is None:
        return
    if figure.low is not None and figure.high is not None:
        axes.vlines(x, figure.low, figure.high, color=svg.INK, linewidth=1.2)
    chosen, dropped = item.outcome == "chosen", item.outcome == "dropped"
    axes.plot(x, figure.value, linestyle="none", marker="*" if chosen else "o",
              markersize=17 if chosen else 9, markeredgecolor=svg.INK, markeredgewidth=1.2,
              markerfacecolor="#ffd24d" if chosen else "none" if dropped else svg.DARK)  # fmt: skip
    height = -14 if place % 2 else 6
    axes.annotate(item.name, (x, figure.value), xytext=(9, height), textcoords="offset points")
