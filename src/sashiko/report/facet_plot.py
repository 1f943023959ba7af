"""The scores of a facet's groups, one row a group."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup

from sashiko.metrics.arrays import Floats, Ints
from sashiko.report.svg import (
    DARK,
    MUTED,
    SCORE_BINS,
    axes_of,
    identifier,
    new_figure,
    styled,
    threshold_line,
    to_svg,
)

_WIDTH = 440


@dataclass(frozen=True)
class GroupScores:
    """A facet's group on the test split.

    Attributes:
        name: the facet's value.
        scores: probability of the positive label, shape (rows,).
        labels: 1 for positive, shape (rows,).
    """

    name: str
    scores: Floats
    labels: Ints


def facet_scores(facet: str, groups: Sequence[GroupScores], *, threshold: float) -> Markup:
    """Draws the scores of each group of a facet below one another on one scale.

    Args:
        facet: the column's name.
        groups: in the order to draw; each with at least one row.
        threshold: at or above it a row is predicted positive.
    """
    edges = np.linspace(0, 1, SCORE_BINS + 1)
    heights = [np.histogram(group.scores, bins=edges)[0] / len(group.scores) for group in groups]
    top = max(float(part.max()) for part in heights)
    with styled():
        figure = new_figure(width=_WIDTH, height=110 + 56 * len(groups))
        axes = axes_of(figure)
        said = []
        for row, (group, part) in enumerate(zip(groups, heights, strict=True)):
            base = float(len(groups) - 1 - row)
            axes.stairs(part / top * 0.85 + base, edges, baseline=base, fill=True, color="#8fb4d6")
            axes.stairs(part / top * 0.85 + base, edges, baseline=base, color=DARK, linewidth=1)
            selected = float((group.scores >= threshold).mean())
            axes.text(1.02, base + 0.32, f"{selected:.0%}", va="center", fontsize=9.5)
            said.append(f"{group.name} {selected:.0%} of {len(group.scores):,}")
        axes.text(1.02, len(groups) + 0.15, "at or above", va="center", fontsize=8.5, color=MUTED)
        axes.set_yticks(
            [len(groups) - 1 - row + 0.32 for row in range(len(groups))],
            [f"{group.name}\n{len(group.scores):,} rows" for group in groups],
        )
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)
        threshold_line(axes, threshold)
        axes.set(xlim=(0, 1), ylim=(-0.05, len(groups) + 0.3), xlabel="score of the model")
        alt = f"Scores by {facet}; at or above the threshold: {', '.join(said)}."
        return to_svg(figure, name=f"facet-{identifier(facet)}", alt=alt)
