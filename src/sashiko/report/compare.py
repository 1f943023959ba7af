"""The candidate beside the models that it has to beat, metric by metric, with intervals."""

from collections.abc import Mapping, Sequence

from markupsafe import Markup

from sashiko.metrics.uncertainty import Estimate
from sashiko.report.svg import DARK, LIGHT, RULE, axes_of, new_figure, styled, to_svg

_MARKS = (("o", DARK, 8.0), ("s", LIGHT, 6.5), ("D", "white", 6.5), ("^", "#8fb4d6", 7.5))


def comparison(
    metrics: Mapping[str, str], models: Sequence[tuple[str, Mapping[str, Estimate]]]
) -> Markup:
    """Draws every metric's estimates on one scale from 0 to 1.

    Args:
        metrics: metric -> its short name, in the order to draw.
        models: (name, metric -> estimate), the candidate first; four at most have a mark.
    """
    with styled():
        figure = new_figure(width=440, height=90 + 62 * len(metrics))
        axes = axes_of(figure)
        said = []
        for row, metric in enumerate(reversed(list(metrics))):
            for at, (name, estimates) in enumerate(models[: len(_MARKS)]):
                estimate = estimates[metric]
                if estimate.value is None:
                    continue
                shape, colour, size = _MARKS[at]
                y = row + 0.3 - 0.2 * at
                if estimate.low is not None and estimate.high is not None:
                    axes.hlines(y, estimate.low, estimate.high, color=DARK, linewidth=1.4)
                axes.plot(estimate.value, y, shape, markersize=size, markerfacecolor=colour,
                          markeredgecolor=DARK, linestyle="none", clip_on=False,
                          label=name if row == 0 else None)  # fmt: skip
                said.append(f"{metrics[metric]} of {name} {estimate.value:.3f}")
        axes.set_yticks(range(len(metrics)), list(metrics.values())[::-1])
        axes.tick_params(axis="y", length=0)
        axes.hlines([row + 0.5 for row in range(len(metrics) - 1)], 0, 1, color=RULE, linewidth=0.6)
        axes.spines["left"].set_visible(False)
        axes.set(xlim=(0, 1), ylim=(-0.5, len(metrics) - 0.5))
        axes.grid(True, axis="x")
        figure.legend(loc="outside upper center", ncols=4, columnspacing=1.2, handletextpad=0.3)
        return to_svg(figure, name="comparison", alt=f"Comparison: {'; '.join(said)}.")
