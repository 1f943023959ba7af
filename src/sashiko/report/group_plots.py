"""The scores of a facet's groups, and whether a score means the same for each of them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup

from sashiko.evaluation.metrics.arrays import Floats, Ints
from sashiko.evaluation.metrics.calibration import (
    calibration_error,
    error_by_chance,
    reliability_curve,
    wilson_interval,
)
from sashiko.evaluation.metrics.uncertainty import Estimate
from sashiko.report import svg, words
from sashiko.report.plots import reliability
from sashiko.report.views import Row, numeric, row


@dataclass(frozen=True)
class GroupScores:
    """A facet's group on the test split."""

    name: str  # the facet's value
    scores: Floats  # probability of the positive label, shape (rows,)
    labels: Ints  # 1 for positive, shape (rows,)


def facet_scores(facet: str, groups: Sequence[GroupScores], *, threshold: float) -> Markup:
    """Draws the scores of each group of a facet on one scale, one below the other."""
    edges = np.linspace(0, 1, svg.SCORE_BINS + 1)
    heights = [np.histogram(group.scores, bins=edges)[0] / len(group.scores) for group in groups]
    top = max(float(part.max()) for part in heights)
    with svg.chart(height=110 + 56 * len(groups)) as axes:
        descriptions = []
        for row, (group, part) in enumerate(zip(groups, heights, strict=True)):
            base = float(len(groups) - 1 - row)
            axes.stairs(part / top * 0.85 + base, edges, baseline=base, fill=True, color="#8fb4d6")
            axes.stairs(part / top * 0.85 + base, edges, baseline=base, color=svg.DARK, linewidth=1)
            selected = float((group.scores >= threshold).mean())
            axes.text(1.02, base + 0.32, f"{selected:.0%}", va="center", fontsize=9.5)
            descriptions.append(f"{group.name} {selected:.0%} of {len(group.scores):,}")
        above = len(groups) + 0.15
        axes.text(1.02, above, "at or above", va="center", fontsize=8.5, color=svg.MUTED)
        names = [f"{group.name}\n{len(group.scores):,} rows" for group in groups]
        axes.set_yticks(np.arange(len(groups))[::-1] + 0.32, names)
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)
        svg.threshold_line(axes, threshold)
        axes.set(xlim=(0, 1), ylim=(-0.05, len(groups) + 0.3), xlabel="score of the model")
        alt = f"Scores by {facet}; at or above the threshold: {', '.join(descriptions)}."
        return svg.to_svg(axes, name=f"facet-{svg.identifier(facet)}", alt=alt)


COLUMNS = (
    "facet", "group", "rows", "mean score", "labelled positive [95 %]", "calibration error",
    "by chance up to",
)  # fmt: skip
NOTE = (
    "Where the mean score lies outside the interval of the share that is labelled positive, scores "
    "are too high or too low for that group on average. Calibration error and chance as under "
    "Quality. Groups whose labels differ in their shares cannot be level in selection rates and "
    "calibrated at once (Kleinberg, Mullainathan and Raghavan, ITCS 2017)."
)
_REPLICATES = 1000


def calibration_rows(
    facet: str, groups: Sequence[GroupScores], *, minimum_group_size: int
) -> tuple[Row, ...]:
    """Compares scores with labels, one row per group."""
    table = []
    for group in groups:
        rows, share = len(group.scores), float(group.labels.mean())
        start = (facet, group.name, rows, numeric(words.estimate(float(group.scores.mean()))))
        if rows < minimum_group_size:
            table.append(row(*start, numeric(words.estimate(share)), "too few to judge", ""))
            continue
        chance = error_by_chance(group.scores, replicates=_REPLICATES, seed=0).high
        error = calibration_error(reliability_curve(group.labels, group.scores))
        positive = words.estimate_cell(Estimate(share, *wilson_interval(share, rows)))
        by_chance = numeric("" if chance is None else words.estimate(chance))
        table.append(row(*start, positive, numeric(words.estimate(error)), by_chance))
    return tuple(table)


def calibration_by_group(facet: str, groups: Sequence[GroupScores]) -> Markup:
    """Draws the reliability curve of each group, at most `MOST_CURVES`, on the same axes."""
    curves = {group.name: reliability_curve(group.labels, group.scores) for group in groups}
    summary = "; ".join(
        f"{name} from {bins[0].positive_rate:.0%} to {bins[-1].positive_rate:.0%}"
        for name, bins in curves.items()
    )
    alt = f"Calibration by {facet}: share labelled positive, by score: {summary}."
    return reliability(curves, name=f"group-calibration-{svg.identifier(facet)}", alt=alt)
