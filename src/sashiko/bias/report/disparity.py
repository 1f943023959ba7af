"""Bias metrics on one scale: how much worse off a group is than everyone else."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from markupsafe import Markup

from sashiko.bias.gates.estimates import BiasEstimate
from sashiko.bias.metrics.clarify_metrics import METRICS
from sashiko.bias.report.bias_tables import check_of
from sashiko.evaluation.gates.verdict import Check
from sashiko.report import svg
from sashiko.report.views import Figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Differences of two shares of rows, so that their sizes can be compared with one another.
RATES = ("DPPL", "RD", "SD", "DAR", "DRR", "AD", "CDDPL")
# Of the same two shares: where one is gated, the other is no further finding.
_TWINS = {"DI": "DPPL", "DPPL": "DI"}


def disparity(estimate: BiasEstimate, value: float) -> float:
    """Returns a metric's distance from its neutral value, positive if the group is worse off."""
    metric = METRICS[estimate.metric]
    apart = value - metric.neutral
    return -apart if metric.worse == "below" else apart


def largest_rates(
    estimates: Sequence[BiasEstimate], *, gated: Sequence[str]
) -> list[tuple[float, BiasEstimate]]:
    """Sorts the ungated differences of rates by size.

    Returns:
        Each metric's value and estimate, the largest difference first; undefined ones are left out.
    """
    settled = {*gated, *(_TWINS[metric] for metric in gated if metric in _TWINS)}
    others = [
        (estimate.value, estimate)
        for estimate in estimates
        if estimate.metric in RATES
        and estimate.metric not in settled
        and estimate.value is not None
    ]
    return sorted(others, key=lambda pair: -abs(pair[0]))


_MOST_FIGURES = 4
_EDGE = 1.0  # differences of rates end here; ratios (TE, DCA, DCR) may lie beyond
_CAPTION = (
    "Distance from no difference; right of the line the group is worse off, if the positive label "
    "is the one that is good for a person. The numbers are the "
    "metrics' own. Filled: gated. An arrow lies outside the picture. A bar is a 95 % interval of "
    "that look alone."
)


def disparity_figures(
    estimates: Sequence[BiasEstimate], checks: Mapping[str, Check]
) -> Iterator[Figure]:
    """Draws one figure per gated group, or per group of each facet if there is no gate."""
    predicted = [estimate for estimate in estimates if estimate.stage == "post_training"]
    gated = {estimate.subgroup for estimate in predicted if check_of(estimate, checks)}
    subgroups = gated or {
        estimate.subgroup for estimate in predicted if not estimate.is_intersection
    }
    names = [
        name
        for name in dict.fromkeys(estimate.subgroup for estimate in predicted)
        if name in subgroups
    ]
    for name in names[:_MOST_FIGURES]:
        figures = [
            (estimate.value, estimate)
            for estimate in predicted
            if estimate.subgroup == name and estimate.value is not None and _compares(estimate)
        ]
        if figures:
            figures.sort(key=lambda pair: -disparity(pair[1], pair[0]))
            picture = _forest(name, figures, checks)
            yield Figure(f"All metrics of {name}, the largest disparity first", picture, _CAPTION)


def _compares(estimate: BiasEstimate) -> bool:
    metric = METRICS.get(estimate.metric)
    return metric is not None and metric.compares


def _forest(
    group: str, rows: Sequence[tuple[float, BiasEstimate]], checks: Mapping[str, Check]
) -> Markup:
    with svg.row_chart([estimate.metric for _, estimate in rows]) as axes:
        ends = [end for value, estimate in rows for end in _ends(value, estimate)]
        low, high = max(min([*ends, 0]), -_EDGE), min(max([*ends, 0]), _EDGE)
        air = max((high - low) * 0.08, 0.02)
        limits = (low - air, high + air)
        axes.set_xlim(limits)
        axes.axvline(0, color=svg.MUTED, linewidth=1, linestyle=(0, (4, 3)))
        for index, (value, estimate) in enumerate(reversed(rows)):
            gated = check_of(estimate, checks) is not None
            _draw(axes, index, value, estimate, gated=gated, limits=limits)
        axes.set_xlabel("← others worse off      group worse off →")
        summary = "; ".join(f"{estimate.metric} {value:.2f}" for value, estimate in rows)
        alt = f"Bias metrics of {group}, the largest disparity first: {summary}."
        return svg.to_svg(axes, name=f"disparity-{svg.identifier(group)}", alt=alt)


def _ends(value: float, estimate: BiasEstimate) -> tuple[float, ...]:
    """Returns an estimate's value and interval as disparities in ascending order."""
    values = [part for part in (estimate.low, value, estimate.high) if part is not None]
    return tuple(sorted(disparity(estimate, part) for part in values))


def _draw(
    axes: "Axes",
    index: int,
    value: float,
    estimate: BiasEstimate,
    *,
    gated: bool,
    limits: tuple[float, float],
) -> None:
    low, *_, high = (*_ends(value, estimate), disparity(estimate, value))[:3]
    position = disparity(estimate, value)
    if estimate.low is not None and low < limits[1] and high > limits[0]:
        axes.hlines(index, max(low, limits[0]), min(high, limits[1]), color=svg.DARK, linewidth=1.8)
    inside = limits[0] <= position <= limits[1]
    marker = "o" if inside else (">" if position > 0 else "<")
    axes.plot(
        min(max(position, limits[0]), limits[1]), index, marker=marker, markersize=8, clip_on=False,
        markerfacecolor=svg.DARK if gated else "white", markeredgecolor=svg.DARK,
        markeredgewidth=1.2,
    )  # fmt: skip
    svg.row_figure(axes, index, f"{round(value, 2) + 0.0:.2f}", bold=gated)
