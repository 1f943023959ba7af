"""The report's plots: each returns one SVG with its text alternative."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from markupsafe import Markup

from sashiko.bias.gates.estimates import BiasEstimate
from sashiko.bias.metrics.number_bias import ALL_METRICS
from sashiko.evaluation.evaluation_record import MetricLine
from sashiko.evaluation.gates.verdict import Check
from sashiko.evaluation.metrics.arrays import Floats, Ints
from sashiko.evaluation.metrics.calibration import CalibrationBin
from sashiko.evaluation.metrics.classes import ClassRates
from sashiko.evaluation.metrics.selective import CoveragePoint
from sashiko.evaluation.metrics.uncertainty import Estimate
from sashiko.report import svg, words
from sashiko.settings.recipe_quality import SELECTIVE_ACCURACY, SELECTIVE_COVERAGE

# A metric's value in one group, its estimate, and the check that judged it, if a gate did.
ForestRow = tuple[float, BiasEstimate, Check | None]
_CURVES = ((svg.DARK, "o"), (svg.LIGHT, "s"), (svg.INK, "^"), (svg.MUTED, "D"))
MOST_CURVES = len(_CURVES)
MOST_COUNTED = 12  # classes of a confusion matrix with counts in its cells
_ABOVE: dict[str, Any] = {"loc": "lower center", "bbox_to_anchor": (0.5, 1.0), "ncols": 2}


def reliability(
    title: str,
    curves: Mapping[str, Sequence[CalibrationBin]],
    *,
    score: str = "score of the model",
    share: str = "share that is positive",
) -> Markup:
    """Draws the share of rows that come true by score, a curve a name, `MOST_CURVES` at most."""
    summary = "; ".join(
        f"{name} from {bins[0].positive_rate:.0%} to {bins[-1].positive_rate:.0%}"
        for name, bins in curves.items()
    )
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
        axes.set(xlim=(0, 1), xlabel=score)
        axes.set(ylim=(0, 1), ylabel=share)
        axes.grid(True)
        alt = f"{title}: {share}, by score: {summary}."
        return svg.to_svg(axes, name=svg.identifier(title), alt=alt)


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


def confusion_matrix(matrix: Sequence[Sequence[int]], names: Sequence[str]) -> Markup:
    """Draws the rows of each label by predicted class: the shade is the share of the label's rows.

    Counts stand in the cells of up to `MOST_COUNTED` classes.
    """
    from matplotlib.colors import LinearSegmentedColormap

    counts = np.array(matrix, dtype=np.float64)
    rows, size = counts.sum(axis=1, keepdims=True), len(names)
    shares = np.divide(counts, rows, out=np.zeros_like(counts), where=rows > 0)
    counted = size <= MOST_COUNTED
    cell, short = (58, 18) if counted else (14, 14)
    with svg.chart(width=190 + cell * size, height=150 + cell * 0.62 * size) as axes:
        shades = LinearSegmentedColormap.from_list("shares", ("white", svg.DARK))
        axes.imshow(shares, cmap=shades, vmin=0, vmax=1, aspect="auto")
        if counted:
            for truth, answer in np.ndindex(size, size):
                dark = shares[truth, answer] > 0.55
                axes.text(answer, truth, f"{int(counts[truth, answer]):,}", ha="center",
                          va="center", fontsize=9, color="white" if dark else svg.INK,
                          fontweight="bold" if truth == answer else "normal")  # fmt: skip
        ticks = [svg.shorten(name, short) for name in names]
        axes.set_xticks(range(size), ticks, rotation=40, ha="right", rotation_mode="anchor")
        axes.set_yticks(range(size), ticks)
        axes.tick_params(length=0, labelsize=9 if counted else 7)
        axes.set_xticks(np.arange(1, size) - 0.5, minor=True)
        axes.set_yticks(np.arange(1, size) - 0.5, minor=True)
        axes.grid(True, which="minor", color="white", linewidth=1.5 if counted else 0.4)
        axes.tick_params(which="minor", length=0)
        axes.set(xlabel="predicted", ylabel="labelled")
        found = "; ".join(
            f"{name} {int(counts[index, index]):,} of {int(rows[index, 0]):,} found"
            for index, name in enumerate(names)
        )
        return svg.to_svg(axes, name="confusion", alt=f"Confusion matrix: {found}.")


def recall_forest(
    rates: Sequence[tuple[str, ClassRates]], *, minimum: float | None = None
) -> Markup:
    """Draws the recall of each class with its interval, and the gate's bound on the lowest.

    Filled marks are judged; hollow ones have too few rows.
    """
    texts = []
    with svg.row_chart([f"{name} ({rate.rows:,})" for name, rate in rates], length=34) as axes:
        if minimum is not None:
            axes.axvspan(minimum, 1, color=svg.ALLOWED, linewidth=0)
            axes.axvline(minimum, color=svg.INK, linewidth=1)
        for index, (name, rate) in enumerate(reversed(rates)):
            recall = rate.recall
            if recall.value is None or recall.low is None or recall.high is None:
                svg.row_figure(axes, index, "no rows")
                texts.append(f"{name} no rows")
                continue
            axes.hlines(index, recall.low, recall.high, color=svg.DARK, linewidth=1.8)
            failed = rate.judged and minimum is not None and recall.value < minimum
            axes.plot(recall.value, index, marker="X" if failed else "o", markersize=9,
                      markerfacecolor=svg.DARK if rate.judged else "white", markeredgewidth=1.2,
                      markeredgecolor="white" if failed else svg.DARK, clip_on=False)  # fmt: skip
            svg.row_figure(axes, index, f"{recall.value:.2f}", bold=rate.judged)
            texts.append(
                f"{name} {recall.value:.2f}, interval {recall.low:.2f} to {recall.high:.2f}"
                + ("" if rate.judged else ", too few rows to judge")
            )
        axes.set(xlim=(0, 1), xlabel="recall")
        axes.grid(True, axis="x")
        return svg.to_svg(
            axes, name="recalls", alt=f"Recall by class: {'; '.join(reversed(texts))}."
        )


def coverage_curve(curve: Sequence[CoveragePoint], *, chosen: Mapping[str, Estimate]) -> Markup:
    """Draws the share of answers that are right by the share of rows answered, and the policy's.

    `chosen` are the `SELECTIVE_METRICS`.
    """
    share, right = chosen[SELECTIVE_COVERAGE].value, chosen[SELECTIVE_ACCURACY]
    with svg.chart() as axes:
        shares = [point.coverage for point in curve]
        low = [point.accuracy.low or 0.0 for point in curve]
        high = [point.accuracy.high or 1.0 for point in curve]
        axes.fill_between(shares, low, high, color=svg.ALLOWED, linewidth=0, label="95 % interval")
        axes.plot(shares, [point.accuracy.value or 0.0 for point in curve], color=svg.DARK,
                  marker="o", markersize=4, label="at other thresholds")  # fmt: skip
        if share and right.value is not None:
            axes.plot(share, right.value, "D", color=svg.LIGHT, markeredgecolor=svg.INK,
                      markersize=9, label="at the model's", clip_on=False)  # fmt: skip
        axes.set(xlim=(0, 1), xlabel="coverage: share of rows that are answered")
        axes.set(ylim=(max(0.0, min(low) - 0.05), 1), ylabel="share of answers that are right")
        axes.grid(True)
        axes.legend(**_ABOVE)
        ends = (f"{point.accuracy.text} of {point.coverage:.0%}" for point in (curve[0], curve[-1]))
        alt = f"Right answers by coverage: {', '.join(ends)}; {right.text} at the threshold."
        return svg.to_svg(axes, name="coverage-curve", alt=alt)


def observed_and_predicted(
    values: Floats, predictions: Floats, *, half_width: float, bound: float
) -> Markup:
    """Draws how many rows have which predicted and which observed value, with the interval.

    The axes leave out the outermost values, 0.5 % at either end, which would leave no room for all
    others, and the picture says how many rows lie there.
    """
    from matplotlib.colors import LinearSegmentedColormap, LogNorm

    both = np.stack([values, predictions])
    ends = np.quantile(both, [0.005, 0.995])
    ends += (0.03 * np.ptp(ends) or 1.0) * np.array([-1, 1])
    outside = int(((both < ends[0]) | (both > ends[1])).any(axis=0).sum())
    with svg.chart(height=400) as axes:
        shades = LinearSegmentedColormap.from_list("rows", ("#c9dcec", svg.DARK))
        cells = axes.hexbin(
            predictions, values, gridsize=32, mincnt=1, extent=(*ends, *ends), cmap=shades,
            norm=LogNorm(), linewidths=0.2,
        )  # fmt: skip
        axes.plot(ends, ends, color=svg.INK, linewidth=1, label="observed as predicted")
        for sign in (-1, 1):
            axes.plot(ends, ends + sign * half_width, color=svg.LIGHT, linewidth=1.6,
                      label="ends of the interval" if sign > 0 else None)  # fmt: skip
        for line in (axes.axvline, axes.axhline):
            line(bound, color=svg.MUTED, linewidth=1, linestyle=(0, (4, 3)))
        most = int(np.asarray(cells.get_array()).max())
        said = f"darkest cell: {most:,} rows; outside: {outside:,}"
        axes.annotate(said, (0.98, 0.02), xycoords="axes fraction", ha="right", fontsize=8.5)
        axes.set(xlim=ends, ylim=ends, xlabel="predicted value", ylabel="observed value")
        axes.legend(**_ABOVE)
        ranges = (f"from {part.min():,.3f} to {part.max():,.3f}" for part in both)
        alt = (
            f"Observed against predicted values of {len(values):,} rows, {' and '.join(ranges)}; "
            f"the interval is ±{half_width:,.3f}."
        )
        return svg.to_svg(axes, name="observed", alt=alt)


def mean_errors(slices: Sequence[tuple[str, Estimate]]) -> Markup:
    """Draws the mean of predicted minus observed value in each slice, with its interval."""
    ends = [end or 0.0 for _, item in slices for end in (item.value, item.low, item.high)]
    low, high = min([0.0, *ends]), max([0.0, *ends])
    texts = []
    with svg.row_chart([name for name, _ in slices], length=34) as axes:
        axes.axvline(0, color=svg.MUTED, linewidth=1, linestyle=(0, (4, 3)))
        for index, (name, error) in enumerate(reversed(slices)):
            value = error.value or 0.0
            texts.append(f"{name} {words.estimate(value)}")
            axes.hlines(index, error.low or 0.0, error.high or 0.0, color=svg.DARK, linewidth=1.8)
            axes.plot(value, index, marker="o", markersize=9, color=svg.DARK)
            svg.row_figure(axes, index, words.estimate(value))
        air = 0.08 * (high - low) or 1.0
        axes.set(xlim=(low - air, high + air), xlabel="mean of predicted - observed")
        axes.grid(True, axis="x")
        alt = f"Mean error by slice: {'; '.join(reversed(texts))}."
        return svg.to_svg(axes, name="mean-errors", alt=alt)


def coverage(bins: Sequence[CalibrationBin], overall: Estimate, *, aim: float) -> Markup:
    """Draws the share of rows whose interval holds their value, over all and by predicted value."""
    with svg.chart() as axes:
        axes.axhspan(overall.low or 0.0, overall.high or 1.0, color=svg.ALLOWED, linewidth=0,
                     label="all rows, with their interval")  # fmt: skip
        axes.axhline(aim, color=svg.INK, linewidth=1, linestyle=(0, (4, 3)), label=f"aim: {aim:g}")
        mean = [part.mean_score for part in bins]
        low, high = [part.rate_low for part in bins], [part.rate_high for part in bins]
        axes.vlines(mean, low, high, color=svg.DARK, linewidth=1)
        axes.plot(mean, [part.positive_rate for part in bins], color=svg.DARK, linewidth=0.8,
                  marker="o", markersize=5, label="by predicted value", clip_on=False)  # fmt: skip
        axes.set(ylim=(max(0.0, min(low) - 0.05), 1), xlabel="predicted value",
                 ylabel="share of rows inside the interval")  # fmt: skip
        axes.grid(True)
        axes.legend(**_ABOVE)
        shares = "; ".join(f"{part.positive_rate:.0%} at {part.mean_score:,.3f}" for part in bins)
        alt = f"Coverage of the interval: {overall.text} of all rows, aim {aim:g}; {shares}."
        return svg.to_svg(axes, name="coverage", alt=alt)


def forest(metric: str, rows: Sequence[ForestRow]) -> Markup:
    """Draws each group's estimate and interval; a ratio's axis is logarithmic.

    Returns:
        Filled marks are gated, hollow ones reported only; the allowed range is shaded.
    """
    meaning = ALL_METRICS[metric]
    neutral = meaning.neutral
    ends: list[float | None] = []
    texts = []
    for value, figure, check in rows:
        text = f"{figure.subgroup} {value:.2f}"
        if figure.low is not None and figure.high is not None:
            text += f", interval {figure.low:.2f} to {figure.high:.2f}"
        if check is not None:
            text += ", inside its limits" if check.passed else ", outside its limits"
        texts.append(text)
        ends += (value, figure.low, figure.high, *((check and svg.allowed_range(check)) or ()))
    finite = [end for end in ends if end is not None and math.isfinite(end)]
    with svg.row_chart([figure.subgroup for _, figure, _ in rows]) as axes:
        limits = svg.value_axis(axes, finite, neutral=neutral)
        axes.axvline(neutral, color=svg.MUTED, linewidth=1, linestyle=(0, (4, 3)))
        for index, (value, estimate, check) in enumerate(reversed(rows)):
            allowed = svg.allowed_range(check) if check else None
            if allowed is not None:
                left, right = max(allowed[0], limits[0]), min(allowed[1], limits[1])
                axes.fill_between(
                    [left, right], index - 0.42, index + 0.42, color=svg.ALLOWED, linewidth=0
                )
                for bound in filter(math.isfinite, allowed):
                    axes.vlines(bound, index - 0.42, index + 0.42, color=svg.INK, linewidth=1)
            if estimate.low is not None and estimate.high is not None:
                axes.hlines(
                    index,
                    max(estimate.low, limits[0]),
                    estimate.high,
                    color=svg.DARK,
                    linewidth=1.8,
                )
            failed = check is not None and not check.passed
            position = min(max(value, limits[0]), limits[1])
            axes.plot(position, index, marker="X" if failed else "o", markersize=9,
                      markerfacecolor=svg.DARK if check else "white", markeredgewidth=1.2,
                      markeredgecolor="white" if failed else svg.DARK)  # fmt: skip
            # Never a negative zero.
            svg.row_figure(axes, index, f"{round(value, 2) + 0.0:.2f}", bold=check is not None)
        title = words.metric_title(metric)
        aim = "no difference" if meaning.compares else "the aim"
        axes.set_xlabel(f"{title}; {neutral:g} is {aim}")
        alt = f"{title}: {'; '.join(texts)}."
        return svg.to_svg(axes, name=f"forest-{svg.identifier(metric)}", alt=alt)


@dataclass(frozen=True)
class GroupScores:
    """A facet's group on the test split."""

    name: str  # the facet's value
    scores: Floats  # probability of the positive label, shape (rows,)
    labels: Ints  # 1 for positive, shape (rows,)
