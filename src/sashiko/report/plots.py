"""The report's plots of quality: each returns one SVG with its text alternative."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from markupsafe import Markup

from sashiko.evaluation.evaluation_record import MetricLine
from sashiko.evaluation.metrics.arrays import Floats, Ints
from sashiko.evaluation.metrics.calibration import CalibrationBin
from sashiko.evaluation.metrics.quality import Confusion
from sashiko.evaluation.metrics.uncertainty import Estimate
from sashiko.report import svg
from sashiko.steps.evaluation_notes import METRIC_NAMES

_CURVES = ((svg.DARK, "o"), (svg.LIGHT, "s"), (svg.INK, "^"), (svg.MUTED, "D"))
MOST_CURVES = len(_CURVES)
_ABOVE: dict[str, Any] = {"loc": "lower center", "bbox_to_anchor": (0.5, 1.0), "ncols": 2}


def calibration(bins: Sequence[CalibrationBin]) -> Markup:
    """Draws each bin's share of positives with its Wilson 95 % interval, against the diagonal."""
    summary = "; ".join(f"{part.mean_score:.2f}: {part.positive_rate:.0%}" for part in bins)
    alt = f"Calibration: share of positives by mean score of {len(bins)} bins: {summary}."
    return reliability({"model, 95 % interval": bins}, name="calibration", alt=alt)


def reliability(curves: Mapping[str, Sequence[CalibrationBin]], *, name: str, alt: str) -> Markup:
    """Draws the share of positive rows by score, a curve for each name, `MOST_CURVES` at most."""
    with svg.chart() as axes:
        axes.plot([0, 1], [0, 1], color=svg.MUTED, linewidth=1, linestyle=(0, (4, 3)),
                  label="perfectly calibrated")  # fmt: skip
        for (colour, marker), (label, bins) in zip(_CURVES, curves.items(), strict=False):
            mean = [part.mean_score for part in bins]
            low, high = [part.rate_low for part in bins], [part.rate_high for part in bins]
            axes.vlines(mean, low, high, color=colour, linewidth=1)
            axes.plot(mean, [part.positive_rate for part in bins], color=colour, linewidth=0.8,
                      marker=marker, markersize=5, label=label, clip_on=False)  # fmt: skip
        axes.legend(**_ABOVE)
        axes.set(xlim=(0, 1), xlabel="score of the model")
        axes.set(ylim=(0, 1), ylabel="share that is positive")
        axes.grid(True)
        return svg.to_svg(axes, name=name, alt=alt)


def score_distribution(
    scores: Floats, labels: Ints, *, threshold: float, names: tuple[str, str]
) -> Markup:
    """Draws the scores of truly negative and truly positive rows, with the decision threshold."""
    edges = np.linspace(0, 1, svg.SCORE_BINS + 1)
    with svg.chart() as axes:
        for value, colour, filled in ((0, svg.LIGHT, True), (1, svg.DARK, False)):
            part = scores[labels == value]
            heights = np.histogram(part, bins=edges)[0] / max(len(part), 1)
            label = f"{names[value]} ({len(part):,})"
            axes.stairs(heights, edges, fill=filled, color=colour, linewidth=1.6, label=label)
        svg.threshold_line(axes, threshold)
        axes.set(xlim=(0, 1), xlabel="score of the model", ylabel="share of the label's rows")
        axes.legend(title="true label", title_fontsize=9, **_ABOVE)
        axes.grid(True, axis="y")
        above = [float((scores[labels == value] >= threshold).mean()) for value in (0, 1)]
        alt = (
            f"Scores by true label. At or above the threshold of {threshold:.2f} are "
            f"{above[0]:.0%} of the rows labelled {names[0]} and {above[1]:.0%} of those "
            f"labelled {names[1]}."
        )
        return svg.to_svg(axes, name="scores", alt=alt)


def confusion(matrix: Confusion, *, names: tuple[str, str]) -> Markup:
    """Draws the confusion matrix, shaded by the share of each true label's rows."""
    from matplotlib.colors import LinearSegmentedColormap

    counts = np.array(
        [[matrix.true_negatives, matrix.false_positives],
         [matrix.false_negatives, matrix.true_positives]]
    )  # fmt: skip
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    shades = LinearSegmentedColormap.from_list("shares", ["#f3f6f9", svg.DARK])
    with svg.chart() as axes:
        axes.pcolormesh(shares, cmap=shades, vmin=0, vmax=1, edgecolors="white", linewidth=4)
        for true, predicted in np.ndindex(2, 2):
            share = float(shares[true, predicted])
            ink = "white" if share > 0.5 else svg.INK
            centred: dict[str, Any] = {"ha": "center", "va": "center", "color": ink}
            axes.text(predicted + 0.5, true + 0.44, f"{counts[true, predicted]:,}",
                      fontsize=15, **centred)  # fmt: skip
            axes.text(predicted + 0.5, true + 0.7, f"{share:.0%} of the row", **centred)
        ticks = [svg.shorten(name) for name in names]
        axes.set_xticks([0.5, 1.5], ticks)
        axes.set_yticks([0.5, 1.5], ticks, rotation=90, va="center")
        axes.set(xlim=(0, 2), ylim=(2, 0), xlabel="predicted", ylabel="true")
        axes.tick_params(length=0)
        for spine in axes.spines.values():
            spine.set_visible(False)
        alt = (
            f"Confusion matrix: of {counts[1].sum():,} rows truly {names[1]}, {counts[1, 1]:,} "
            f"were predicted so; of {counts[0].sum():,} truly {names[0]}, {counts[0, 0]:,} were."
        )
        return svg.to_svg(axes, name="confusion", alt=alt)


def learning_curve(lines: Sequence[MetricLine]) -> Markup:
    """Draws the losses over the optimiser's steps."""
    scored = [
        (line.step, line.validation_loss) for line in lines if line.validation_loss is not None
    ]
    with svg.chart() as axes:
        axes.plot([line.step for line in lines], [line.train_loss for line in lines],
                  color=svg.LIGHT, linewidth=2, marker="s", markersize=3.5,
                  label="train, weighted")  # fmt: skip
        if scored:
            axes.plot(*zip(*scored, strict=True), color=svg.DARK, linewidth=1.4, marker="D",
                      markersize=7, label="validation")  # fmt: skip
        axes.set(xlabel="optimiser step", ylabel="loss", xlim=(0, None), ylim=(0, None))
        axes.grid(True, axis="y")
        axes.legend(**_ABOVE)
        alt = (
            f"Learning curve over {lines[-1].step} steps: train loss {lines[0].train_loss:.3f} at "
            f"first, {lines[-1].train_loss:.3f} at last"
        )
        if scored:
            alt += f"; validation loss {scored[-1][1]:.3f} at last"
        return svg.to_svg(axes, name="learning", alt=f"{alt}.")


_MARKS = (("o", svg.DARK, 8.0), ("s", svg.LIGHT, 6.5), ("D", "white", 6.5), ("^", "#8fb4d6", 7.5))


def comparison(models: Sequence[tuple[str, Mapping[str, Estimate]]]) -> Markup:
    """Draws every metric's estimates on one scale from 0 to 1, of four models at most."""
    with svg.chart(height=90 + 62 * len(METRIC_NAMES)) as axes:
        descriptions = []
        for row, metric in enumerate(reversed(METRIC_NAMES)):
            marked = zip(models, _MARKS, strict=False)
            for index, ((name, estimates), (shape, colour, size)) in enumerate(marked):
                estimate, y = estimates[metric], row + 0.3 - 0.2 * index
                if estimate.value is None:
                    continue
                if estimate.low is not None and estimate.high is not None:
                    axes.hlines(y, estimate.low, estimate.high, color=svg.DARK, linewidth=1.4)
                axes.plot(estimate.value, y, shape, markersize=size, markerfacecolor=colour,
                          markeredgecolor=svg.DARK, linestyle="none", clip_on=False,
                          label=name if row == 0 else None)  # fmt: skip
                descriptions.append(f"{METRIC_NAMES[metric]} of {name} {estimate.value:.3f}")
        axes.set_yticks(range(len(METRIC_NAMES)), [*METRIC_NAMES.values()][::-1])
        axes.tick_params(axis="y", length=0)
        between = np.arange(len(METRIC_NAMES) - 1) + 0.5
        axes.hlines(between, 0, 1, color=svg.RULE, linewidth=0.6)
        axes.spines["left"].set_visible(False)
        axes.set(xlim=(0, 1), ylim=(-0.5, len(METRIC_NAMES) - 0.5))
        axes.grid(True, axis="x")
        axes.figure.legend(
            loc="outside upper center", ncols=4, columnspacing=1.2, handletextpad=0.3
        )
        return svg.to_svg(axes, name="comparison", alt=f"Comparison: {'; '.join(descriptions)}.")
