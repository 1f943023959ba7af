"""Bias metrics on one scale: how much worse off a group is than everyone else."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from markupsafe import Markup

from sashiko.evaluation.gates.estimates import BiasEstimate
from sashiko.evaluation.gates.verdict import Check
from sashiko.evaluation.metrics.bias import METRICS
from sashiko.report import svg
from sashiko.report.bias_tables import check_of
from sashiko.report.views import Figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Differences of two shares of rows, so that their sizes can be compared with one another.
RATES = ("DPPL", "RD", "SD", "DAR", "DRR", "AD", "CDDPL")
# Of the same two shares: where one is gated, the other is no further finding.
_TWINS = {"DI": "DPPL", "DPPL": "DI"}


def disparity(estimate: BiasEstimate, value: float) -> float:
    """Returns a metric's distance from its neutral value, above 0 where the group is worse off."""
    metric = METRICS[estimate.metric]
    apart = value - metric.neutral
    return -apart if metric.worse == "below" else apart


def largest_rates(
    estimates: Sequence[BiasEstimate], *, gated: Sequence[str]
) -> list[tuple[float, BiasEstimate]]:
    """Orders the differences of rates that no gate judged by size, whoever is worse off.

    Args:
        estimates: of one group's predictions.
        gated: the metrics of this group that a gate judged.

    Returns:
        Each metric's value and estimate, the largest difference first; undefined ones are left out.
    """
    settled = {*gated, *(_TWINS[metric] for metric in gated if metric in _TWINS)}
    others = [
        (one.value, one)
        for one in estimates
        if one.metric in RATES and one.metric not in settled and one.value is not None
    ]
    return sorted(others, key=lambda pair: -abs(pair[0]))


_ROW_HEIGHT = 26
_MOST_FIGURES = 4
_EDGE = 1.0  # differences of rates end here; ratios (TE, DCA, DCR) may lie beyond
_CAPTION = (
    "Distance from no difference; right of the line the group is worse off. The numbers are the "
    "metrics' own. Filled: gated. An arrow lies outside the picture. A bar is a 95 % interval of "
    "that look alone."
)


def disparity_figures(
    estimates: Sequence[BiasEstimate], checks: Mapping[str, Check]
) -> Iterator[Figure]:
    """Draws one picture a gated group, or a group of each facet where no gate names one.

    Args:
        estimates: of labels and predictions; those of the predictions are drawn.
        checks: the bias gate's, by name.
    """
    predicted = [one for one in estimates if one.stage == "post_training"]
    gated = {one.subgroup for one in predicted if check_of(one, checks)}
    shown = gated or {one.subgroup for one in predicted if not one.is_intersection}
    names = [name for name in dict.fromkeys(one.subgroup for one in predicted) if name in shown]
    for name in names[:_MOST_FIGURES]:
        drawn = [
            (one.value, one)
            for one in predicted
            if one.subgroup == name and one.value is not None and _compares(one)
        ]
        if drawn:
            drawn.sort(key=lambda pair: -disparity(pair[1], pair[0]))
            picture = _forest(name, drawn, checks)
            yield Figure(f"All metrics of {name}, the largest disparity first", picture, _CAPTION)


def _compares(estimate: BiasEstimate) -> bool:
    metric = METRICS.get(estimate.metric)
    return metric is not None and metric.compares


def _forest(
    group: str, rows: Sequence[tuple[float, BiasEstimate]], checks: Mapping[str, Check]
) -> Markup:
    with svg.chart(height=70 + _ROW_HEIGHT * len(rows)) as axes:
        ends = [end for value, one in rows for end in _ends(value, one)]
        low, high = max(min([*ends, 0]), -_EDGE), min(max([*ends, 0]), _EDGE)
        air = max((high - low) * 0.08, 0.02)
        limits = (low - air, high + air)
        axes.set(xlim=limits, ylim=(-0.6, len(rows) - 0.4))
        axes.axvline(0, color=svg.MUTED, linewidth=1, linestyle=(0, (4, 3)))
        for at, (value, one) in enumerate(reversed(rows)):
            _draw(axes, at, value, one, gated=check_of(one, checks) is not None, limits=limits)
        axes.set_yticks(range(len(rows)), [one.metric for _, one in reversed(rows)])
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)
        axes.set_xlabel("← others worse off      group worse off →")
        said = "; ".join(f"{one.metric} {value:.2f}" for value, one in rows)
        alt = f"Bias metrics of {group}, the largest disparity first: {said}."
        return svg.to_svg(axes, name=f"disparity-{svg.identifier(group)}", alt=alt)


def _ends(value: float, estimate: BiasEstimate) -> tuple[float, ...]:
    """Returns what is to be drawn of an estimate, as disparities in ascending order."""
    drawn = [part for part in (estimate.low, value, estimate.high) if part is not None]
    return tuple(sorted(disparity(estimate, part) for part in drawn))


def _draw(
    axes: "Axes",
    at: int,
    value: float,
    estimate: BiasEstimate,
    *,
    gated: bool,
    limits: tuple[float, float],
) -> None:
    low, *_, high = (*_ends(value, estimate), disparity(estimate, value))[:3]
    place = disparity(estimate, value)
    if estimate.low is not None and low < limits[1] and high > limits[0]:
        axes.hlines(at, max(low, limits[0]), min(high, limits[1]), color=svg.DARK, linewidth=1.8)
    inside = limits[0] <= place <= limits[1]
    marker = "o" if inside else (">" if place > 0 else "<")
    axes.plot(
        min(max(place, limits[0]), limits[1]), at, marker=marker, markersize=8, clip_on=False,
        markerfacecolor=svg.DARK if gated else "white", markeredgecolor=svg.DARK,
        markeredgewidth=1.2,
    )  # fmt: skip
    axes.annotate(
        f"{round(value, 2) + 0.0:.2f}", (1.03, at), xycoords=("axes fraction", "data"),
        va="center", fontsize=9.5, fontweight="bold" if gated else "normal",
    )  # fmt: skip
