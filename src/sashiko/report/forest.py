"""Forest plots of bias metrics: intervals and allowed range, one figure per metric."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from markupsafe import Markup

from sashiko.bias.gates.estimates import BiasEstimate
from sashiko.bias.metrics.clarify_metrics import METRICS
from sashiko.evaluation.gates.verdict import Check
from sashiko.report import svg
from sashiko.report.bar import allowed_range

if TYPE_CHECKING:
    from matplotlib.axes import Axes


# A metric's value in one group, its estimate, and the check that judged it, if a gate did.
ForestRow = tuple[float, BiasEstimate, Check | None]


def forest(metric: str, rows: Sequence[ForestRow]) -> Markup:
    """Draws each group's estimate and interval; a ratio's axis is logarithmic.

    Returns:
        Filled marks are gated, hollow ones reported only; the allowed range is shaded.
    """
    neutral = METRICS[metric].neutral
    ends: list[float | None] = []
    texts = []
    for value, figure, check in rows:
        text = f"{figure.subgroup} {value:.2f}"
        if figure.low is not None and figure.high is not None:
            text += f", interval {figure.low:.2f} to {figure.high:.2f}"
        if check is not None:
            text += ", inside its limits" if check.passed else ", outside its limits"
        texts.append(text)
        ends += (value, figure.low, figure.high, *((check and allowed_range(check)) or ()))
    finite = [end for end in ends if end is not None and math.isfinite(end)]
    with svg.row_chart([figure.subgroup for _, figure, _ in rows]) as axes:
        limits = svg.value_axis(axes, finite, neutral=neutral)
        axes.axvline(neutral, color=svg.MUTED, linewidth=1, linestyle=(0, (4, 3)))
        for index, row in enumerate(reversed(rows)):
            _draw(axes, index, row, limits=limits)
        axes.set_xlabel(f"{metric} ({neutral:.0f}: no difference)")
        alt = f"{metric}: {'; '.join(texts)}."
        return svg.to_svg(axes, name=f"forest-{svg.identifier(metric)}", alt=alt)


def _draw(axes: "Axes", index: int, row: ForestRow, *, limits: tuple[float, float]) -> None:
    value, estimate, check = row
    allowed = allowed_range(check) if check else None
    if allowed is not None:
        left, right = max(allowed[0], limits[0]), min(allowed[1], limits[1])
        axes.fill_between([left, right], index - 0.42, index + 0.42, color=svg.ALLOWED, linewidth=0)
        for bound in filter(math.isfinite, allowed):
            axes.vlines(bound, index - 0.42, index + 0.42, color=svg.INK, linewidth=1)
    if estimate.low is not None and estimate.high is not None:
        axes.hlines(
            index, max(estimate.low, limits[0]), estimate.high, color=svg.DARK, linewidth=1.8
        )
    failed = check is not None and not check.passed
    position = min(max(value, limits[0]), limits[1])
    axes.plot(position, index, marker="X" if failed else "o", markersize=9,
              markerfacecolor=svg.DARK if check else "white",
              markeredgecolor="white" if failed else svg.DARK, markeredgewidth=1.2)  # fmt: skip
    # Never a negative zero.
    svg.row_figure(axes, index, f"{round(value, 2) + 0.0:.2f}", bold=check is not None)
