"""What the monitor's plots over time share: the axis of time, marks and legends."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from sashiko.report import svg
from sashiko_packs.monitoring.checks import Outcome
from sashiko_packs.monitoring.report.monitor_history import History, days, middle
from sashiko_packs.monitoring.result import MonitorResult

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes

BAD: Final = "#8c1d18"
DASHED: Final[Any] = (0, (4, 3))
DOTTED: Final[Any] = (0, (1, 2))
_WIDTH = 500
_MOST_TICKS = 3
# Told apart by shape, not by colour alone.
_MARKS: dict[Outcome, dict[str, Any]] = {
    "ok": {"marker": "o", "markerfacecolor": svg.DARK, "markeredgecolor": svg.DARK},
    "alarm": {"marker": "X", "markerfacecolor": BAD, "markeredgecolor": "white"},
    "not judged": {"marker": "o", "markerfacecolor": "white", "markeredgecolor": svg.MUTED},
}
_SCALES: dict[Outcome, float] = {"ok": 0.75, "alarm": 1.4, "not judged": 0.75}


@contextmanager
def over_time(history: History, *, height: float) -> "Iterator[Axes]":
    """Opens a chart over the history's time, with a line at each deploy."""
    with svg.chart(width=_WIDTH, height=height) as axes:
        start, end = (days(time) for time in history.span)
        axes.set_xlim(start, end)
        # From the latest window back, each a third of the axis before the one that follows.
        ticks: list[MonitorResult] = []
        for item in reversed(history.results):
            if not ticks or middle(ticks[-1]) - middle(item) >= (end - start) / _MOST_TICKS:
                ticks.append(item)
        axes.set_xticks([middle(item) for item in ticks],
                        [f"{item.end:%Y-%m-%d}" for item in ticks])  # fmt: skip
        axes.set_xlabel("end of the window (UTC)")
        for time, version in history.deploys:
            at = days(time)
            axes.axvline(at, color=svg.INK, linewidth=1)
            axes.annotate(f"version {version}", (at, 1.0), xycoords=("data", "axes fraction"),
                          xytext=(0, 1), textcoords="offset points", fontsize=8, va="bottom",
                          ha="right" if at > (start + end) / 2 else "left")  # fmt: skip
        yield axes


def mark_size(history: History) -> float:
    """Returns the size of a mark in points: smaller where windows are many."""
    return min(7.0, max(3.6, 240 / len(history.results)))


def draw_marks(
    axes: "Axes", points: Iterable[tuple[float, float, Outcome]], *, size: float
) -> None:
    """Draws outcomes at their places, (x, y, outcome)."""
    places: dict[Outcome, list[tuple[float, float]]] = {}
    for x, y, outcome in points:
        places.setdefault(outcome, []).append((x, y))
    for outcome, both in places.items():
        axes.plot(*zip(*both, strict=True), linestyle="none", clip_on=False,
                  **_style(outcome, size))  # fmt: skip


def legend(axes: "Axes", handles: "Sequence[Artist]", *, columns: int = 2) -> None:
    """Writes the legend above the chart."""
    axes.figure.legend(handles=handles, loc="outside upper left", ncols=columns, columnspacing=1.4,
                       handletextpad=0.6)  # fmt: skip


def outcome_handles() -> "list[Artist]":
    """Returns the legend's entries of the three outcomes."""
    from matplotlib.lines import Line2D

    return [
        Line2D([], [], linestyle="none", label=outcome, **_style(outcome, 6.5))
        for outcome in _MARKS
    ]


def line_handle(label: str, **style: Any) -> "Artist":
    """Returns a legend's entry of a line."""
    from matplotlib.lines import Line2D

    return Line2D([], [], label=label, linewidth=1.2, **style)


def plain(text: str) -> str:
    """Returns a name for a chart: short, on one line, without control characters."""
    return svg.shorten("".join(c if c.isprintable() else " " for c in text))


def _style(outcome: Outcome, size: float) -> dict[str, Any]:
    return {
        **_MARKS[outcome],
        "markersize": size * _SCALES[outcome],
        "markeredgewidth": 0.8,
        "zorder": 4,
    }
