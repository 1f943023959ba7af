"""The monitor's plots over time: each returns one SVG with its text alternative.

An alarm, an ok and a window that was not judged have different shapes, not different colours alone.
"""

import datetime as dt
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import groupby, pairwise
from typing import TYPE_CHECKING, Any, Final

from markupsafe import Markup

from sashiko.report import svg
from sashiko_packs.monitoring.audited import MEASURES, AuditedPeriod, estimate_measure
from sashiko_packs.monitoring.checks import (
    DISPARATE_IMPACT,
    GATE_SUFFIX,
    MonitorCheck,
    Outcome,
)
from sashiko_packs.monitoring.result import MonitorResult

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes


_DAY = 86_400.0  # seconds


@dataclass(frozen=True)
class History:
    """The windows of one model package group, at least one, by their end."""

    results: tuple[MonitorResult, ...]

    @property
    def latest(self) -> MonitorResult:
        """The window that was just judged."""
        return self.results[-1]

    @property
    def deploys(self) -> tuple[tuple[dt.datetime, int], ...]:
        """The beginning of each further version's first window, with the version."""
        return tuple(
            (later.start, later.version)
            for earlier, later in pairwise(self.results)
            if earlier.version != later.version
        )

    @property
    def terms(self) -> tuple[tuple[MonitorResult, ...], ...]:
        """The windows by deploy: those between two deploys have the same reference."""
        by_version = groupby(self.results, key=lambda result: result.version)
        return tuple(tuple(results) for _, results in by_version)

    @property
    def periods(self) -> tuple[AuditedPeriod, ...]:
        """The audited periods of all deploys, as they were last known."""
        known = {
            (term[-1].version, period.start, period.end): period
            for term in self.terms
            for period in term[-1].quality.periods
        }
        return tuple(sorted(known.values(), key=lambda period: (period.end, period.start)))

    @property
    def span(self) -> tuple[dt.datetime, dt.datetime]:
        """The beginning of the earliest window or period, and the end of the latest one."""
        spans: Sequence[MonitorResult | AuditedPeriod] = (*self.results, *self.periods)
        return min(item.start for item in spans), max(item.end for item in spans)

    def checks(self, name: str) -> Iterator[tuple[MonitorResult, MonitorCheck]]:
        """Yields the windows that have a check, with it."""
        for result in self.results:
            yield from ((result, check) for check in result.checks if check.name == name)


def days(time: dt.datetime) -> float:
    """Returns a time as days, for an axis."""
    return time.timestamp() / _DAY


def middle(span: MonitorResult | AuditedPeriod) -> float:
    """Returns the middle of a window or a period, in days."""
    return (days(span.start) + days(span.end)) / 2


def version_rows(result: MonitorResult) -> int:
    """Returns the rows of a window that its version answered."""
    return sum(item.rows for item in result.capture.versions if item.version == result.version)


def worst(checks: Sequence[MonitorCheck]) -> Outcome:
    """Returns an alarm if any check has one, else not judged if any check was not."""
    order: tuple[Outcome, ...] = ("alarm", "not judged", "ok")
    return min((check.outcome for check in checks), key=order.index, default="not judged")


BAD: Final = "#8c1d18"
DASHED: Final[Any] = (0, (4, 3))
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


def plain(text: str) -> str:
    """Returns a name for a chart: short, on one line, without control characters."""
    return svg.shorten("".join(c if c.isprintable() else " " for c in text))


def _style(outcome: Outcome, size: float) -> dict[str, Any]:
    size *= _SCALES[outcome]
    return {**_MARKS[outcome], "markersize": size, "markeredgewidth": 0.8, "zorder": 4}


_OUTCOMES: tuple[Outcome, ...] = ("ok", "alarm", "not judged")
_ROW = 19  # pixels of a row of outcomes


def outcomes(history: History, names: Sequence[str]) -> Markup:
    """Draws the outcome of checks by window, a row for each."""
    rows = [(name, [*history.checks(name)]) for name in names]
    with over_time(history, height=96 + _ROW * len(rows)) as axes:
        size = mark_size(history)
        for index, (_, checks) in enumerate(reversed(rows)):
            points = [(middle(result), float(index), check.outcome) for result, check in checks]
            draw_marks(axes, points, size=size)
        labels = [name.removesuffix(GATE_SUFFIX) for name, _ in reversed(rows)]
        axes.set_yticks(
            range(len(rows)), [plain(label.replace(DISPARATE_IMPACT, "DI")) for label in labels]
        )
        axes.tick_params(axis="y", length=0)
        axes.set_ylim(-0.7, len(rows) - 0.3)
        axes.spines["left"].set_visible(False)
        axes.grid(True, axis="y")
        legend(axes, outcome_handles(), columns=4)
        alt = f"Outcome of {len(rows)} rows of checks in {len(history.results)} windows: " + (
            "; ".join(_count_outcomes(name, checks) for name, checks in rows)
        )
        return svg.to_svg(axes, name="outcomes", alt=f"{alt}.")


def _count_outcomes(name: str, checks: Sequence[tuple[MonitorResult, MonitorCheck]]) -> str:
    counts = [
        f"{count} {outcome}"
        for outcome in _OUTCOMES
        if (count := sum(check.outcome == outcome for _, check in checks))
    ]
    return f"{name} {', '.join(counts)}"


_AUDITED = "audited rows, 95 % interval"
_BAD_WASH, _GREY_WASH = "#f6d5d2", "#f1f3f5"


def accuracy(history: History) -> Markup:
    """Draws the accuracy of audited rows by period."""
    with over_time(history, height=400) as axes:
        described, audited = _audited(axes, history)
        for term in history.terms:
            ends = days(term[0].start), days(term[-1].end)
            first = term[-1] is history.latest
            axes.hlines(term[-1].reference_accuracy, *ends, color=svg.INK, linewidth=1.2,
                        label="reference: held-out rows" if first else "")  # fmt: skip
            axes.hlines(term[-1].quality.check.tolerance, *ends, color=BAD, linewidth=1.2,
                        linestyle=DASHED, label="lowest tolerated" if first else "")  # fmt: skip
        labels: set[Outcome] = set()
        for result in history.results:
            outcome = result.quality.check.outcome
            if outcome == "ok":
                continue
            text = "audit: alarm" if outcome == "alarm" else "audit: not judged"
            axes.axvspan(days(result.start), days(result.end), linewidth=0,
                         facecolor=_BAD_WASH if outcome == "alarm" else _GREY_WASH,
                         hatch="" if outcome == "alarm" else "...", edgecolor="#9aa4ae",
                         label=text if outcome not in labels else None)  # fmt: skip
            labels.add(outcome)
        axes.set(ylabel="accuracy")
        values = [*audited]
        for result in history.results:
            values += [result.reference_accuracy, result.quality.check.tolerance]
        # Room below for the marks of periods without enough labels.
        axes.set_ylim(max(min(values) - 0.06, -0.05), min(max(values) + 0.03, 1.02))
        axes.grid(True, axis="y")
        handles = axes.get_legend_handles_labels()[0]
        # What judges the model comes first.
        legend(axes, sorted(handles, key=lambda item: item.get_label() != _AUDITED))
        latest = history.latest
        alt = (
            f"Accuracy over time. {described} The reference is {latest.reference_accuracy:.3f}, "
            f"the lowest tolerated accuracy {latest.quality.check.tolerance:.3f}."
        )
        return svg.to_svg(axes, name="accuracy", alt=alt)


def _audited(axes: "Axes", history: History) -> tuple[str, list[float]]:
    """Draws the accuracy of closed periods with intervals, and marks the other periods below.

    Returns:
        What is drawn, in words; the ends of all intervals.
    """
    last, labels, ends = "", set(), []
    rule = replace(MEASURES["accuracy"], rows_needed=1)
    for period in history.periods:
        x, labelled = middle(period), period.right + period.wrong
        if period.state != "open" and labelled:
            item = estimate_measure(rule, [period], held_out=None)
            share, low, high = item.value or 0.0, item.low or 0.0, item.high or 0.0
            ends += [low, high]
            axes.vlines(x, low, high, color=svg.DARK, linewidth=1.4)
            style: dict[str, Any] = {"marker": "o", "color": svg.DARK}
            y, transform, text = share, axes.transData, _AUDITED
            last = f"Audited rows last had {share:.3f}, interval {low:.3f} to {high:.3f}."
        else:
            style = {"marker": "x" if period.state == "overdue" else "o", "color": svg.MUTED,
                     "markerfacecolor": "white"}  # fmt: skip
            y, transform = 0.04, axes.get_xaxis_transform()
            text = "closed without a label" if period.state == "overdue" else "waits for labels"
        axes.plot(x, y, linestyle="none", markersize=5, transform=transform, zorder=4, **style,
                  label=text if text not in labels else None)  # fmt: skip
        labels.add(text)
    return last or "No period has enough audited labels yet.", ends
