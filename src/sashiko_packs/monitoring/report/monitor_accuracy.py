"""The monitor's plot of accuracy over time: audited, ordinary and without labels."""

import math
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from sashiko.evaluation.metrics.calibration import wilson_interval
from sashiko.report import svg
from sashiko_packs.monitoring.checks import Outcome
from sashiko_packs.monitoring.report.monitor_axes import BAD, DASHED, DOTTED, legend, over_time
from sashiko_packs.monitoring.report.monitor_history import History, days, middle

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_AUDITED = "audited rows, 95 % interval"
_BAD_WASH, _GREY_WASH = "#f6d5d2", "#f1f3f5"


def accuracy(history: History) -> Markup:
    """Draws the accuracy of audited rows by period; ordinary labels' and the estimate apart."""
    with over_time(history, height=400) as axes:
        described = _audited(axes, history)
        for term in history.terms:
            ends = days(term[0].start), days(term[-1].end)
            first = term[-1] is history.latest
            axes.hlines(term[-1].reference_accuracy, *ends, color=svg.INK, linewidth=1.2,
                        label="reference: held-out rows" if first else "")  # fmt: skip
            axes.hlines(term[-1].quality.check.tolerance, *ends, color=BAD, linewidth=1.2,
                        linestyle=DASHED, label="lowest tolerated" if first else "")  # fmt: skip
        _ordinary(axes, history)
        _estimates(axes, history)
        _shade_audits(axes, history)
        axes.set(ylabel="accuracy")
        axes.set_ylim(*_accuracy_limits(history))
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


def _shade_audits(axes: "Axes", history: History) -> None:
    """Shades windows in which the audit has an alarm, and hatches those that it cannot judge."""
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


def _audited(axes: "Axes", history: History) -> str:
    """Draws closed periods with their intervals, and marks the others below; describes both."""
    last, labels = "", set()
    for period in history.periods:
        x, labelled = middle(period), period.right + period.wrong
        if period.state != "open" and labelled:
            share = period.right / labelled
            low, high = wilson_interval(share, labelled)
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
    return last or "No period has enough audited labels yet."


def _ordinary(axes: "Axes", history: History) -> None:
    """Draws the accuracy on labels that arrived on their own, which is not judged."""
    points = [
        (middle(result), result.quality.ordinary_accuracy)
        for result in history.results
        if result.quality.ordinary_accuracy is not None
    ]
    if points:
        axes.plot(*zip(*points, strict=True), marker="s", markersize=4.5, linestyle="none",
                  markerfacecolor="white", markeredgecolor="#a65f10",
                  label="ordinary labels, not judged")  # fmt: skip


def _estimates(axes: "Axes", history: History) -> None:
    """Draws the label-free estimate, with gaps where it is withdrawn and at deploys."""
    label = f"estimate without labels,\n{history.latest.label_free.condition}"
    for term in history.terms:
        values = [math.nan if r.label_free.value is None else r.label_free.value for r in term]
        if all(math.isnan(value) for value in values):
            continue
        axes.plot([middle(result) for result in term], values, color=svg.MUTED, linewidth=1.1,
                  linestyle=DOTTED, marker="d", markersize=4, markerfacecolor="white",
                  label=label)  # fmt: skip
        label = "_"  # named once


def _accuracy_limits(history: History) -> tuple[float, float]:
    values = [
        value
        for result in history.results
        for value in (
            result.reference_accuracy, result.quality.check.tolerance, result.label_free.value,
            result.quality.ordinary_accuracy,
        )
        if value is not None
    ]  # fmt: skip
    for period in history.periods:
        labelled = period.right + period.wrong
        if period.state != "open" and labelled:
            values += wilson_interval(period.right / labelled, labelled)
    # Room below for the marks of periods without enough labels.
    return max(min(values) - 0.06, -0.05), min(max(values) + 0.03, 1.02)
