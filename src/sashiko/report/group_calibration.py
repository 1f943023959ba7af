"""Whether a score means the same for each group of a facet."""

from collections.abc import Sequence

import numpy as np
from markupsafe import Markup

from sashiko.metrics.calibration import (
    calibration_error,
    error_by_chance,
    reliability_curve,
    wilson_interval,
)
from sashiko.report import words
from sashiko.report.facet_plot import GroupScores
from sashiko.report.svg import (
    DARK,
    INK,
    LIGHT,
    MUTED,
    axes_of,
    identifier,
    new_figure,
    styled,
    to_svg,
)
from sashiko.report.views import Cell, Row

COLUMNS = (
    Cell("facet"), Cell("group"), Cell("rows", number=True), Cell("mean score", number=True),
    Cell("labelled positive [95 %]", number=True), Cell("calibration error", number=True),
    Cell("by chance up to", number=True),
)  # fmt: skip
NOTE = (
    "Where the mean score lies outside the interval of the share that is labelled positive, scores "
    "are too high or too low for that group on average. Calibration error and chance as under "
    "Quality. Groups whose labels differ in their shares cannot be level in selection rates and "
    "calibrated at once (Kleinberg, Mullainathan and Raghavan, ITCS 2017)."
)
_REPLICATES = 1000
_STYLES = ((DARK, "o"), (LIGHT, "s"), (INK, "^"), (MUTED, "D"))
MOST_CURVES = len(_STYLES)
_WIDTH = 440


def calibration_rows(
    facet: str, groups: Sequence[GroupScores], *, minimum_group_size: int
) -> tuple[Row, ...]:
    """Compares scores with labels, a row a group.

    Args:
        facet: the column's name.
        groups: each with at least one row.
        minimum_group_size: rows; a smaller group has no error and no interval.
    """
    return tuple(_row(facet, group, least=minimum_group_size) for group in groups)


def _row(facet: str, group: GroupScores, *, least: int) -> Row:
    rows, share = len(group.scores), float(group.labels.mean())
    cells = (
        Cell(facet), Cell(group.name), Cell(f"{rows:,}", number=True),
        Cell(words.estimate(float(group.scores.mean())), number=True),
    )  # fmt: skip
    if rows < least:
        few = Cell("too few to judge")
        return Row((*cells, Cell(words.estimate(share), number=True), few, Cell("")))
    low, high = wilson_interval(share, rows)
    chance = error_by_chance(group.scores, replicates=_REPLICATES, seed=0)
    error = calibration_error(reliability_curve(group.labels, group.scores))
    return Row((
        *cells,
        words.estimate_cell(share, low, high),
        Cell(words.estimate(error), number=True),
        Cell("" if chance.high is None else words.estimate(chance.high), number=True),
    ))  # fmt: skip


def calibration_by_group(facet: str, groups: Sequence[GroupScores]) -> Markup:
    """Draws the reliability curve of each group on the same axes.

    Args:
        facet: the column's name.
        groups: at most as many as there are marks; each with at least one row.
    """
    with styled():
        figure = new_figure(width=_WIDTH, height=330)
        axes = axes_of(figure)
        axes.plot([0, 1], [0, 1], color=MUTED, linewidth=1, linestyle=(0, (4, 3)))
        said = []
        for (colour, marker), group in zip(_STYLES, groups, strict=False):
            curve = reliability_curve(group.labels, group.scores)
            mean = np.array([part.mean_score for part in curve])
            share = np.array([part.positive_rate for part in curve])
            low, high = [part.rate_low for part in curve], [part.rate_high for part in curve]
            axes.vlines(mean, low, high, color=colour, linewidth=0.8)
            axes.plot(mean, share, color=colour, linewidth=0.8, marker=marker, markersize=4.5,
                      label=group.name, clip_on=False)  # fmt: skip
            said.append(f"{group.name} from {share[0]:.0%} to {share[-1]:.0%}")
        axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2)
        axes.set(
            xlim=(0, 1), ylim=(0, 1), xlabel="score of the model", ylabel="share that is positive"
        )
        axes.grid(True)
        alt = f"Calibration by {facet}: share labelled positive, by score: {'; '.join(said)}."
        return to_svg(figure, name=f"group-calibration-{identifier(facet)}", alt=alt)
