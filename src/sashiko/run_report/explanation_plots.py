"""The figures of the explanations: importance of columns, and the deletion test."""

from collections.abc import Sequence

from markupsafe import Markup

from sashiko.evaluation.metrics.uncertainty import Estimate
from sashiko.explain.record import ColumnImportance, DeletionTest
from sashiko.report import svg


def column_bars(columns: Sequence[ColumnImportance]) -> Markup:
    """Draws each column's share of the attributions, with its interval."""
    with svg.row_chart([item.name for item in columns]) as axes:
        for index, column in enumerate(reversed(columns)):
            value, (low, high) = column.share.value or 0.0, _ends(column.share)
            axes.barh(index, value, height=0.62, color=svg.LIGHT)
            axes.hlines(index, low, high, color=svg.DARK, linewidth=1.8)
            svg.row_figure(axes, index, f"{value:.0%}")
        axes.set(xlim=(0, 1), xlabel="share of the effect, mean")
        axes.grid(True, axis="x")
        alt = "; ".join(f"{item.name} {_format(item.share)}" for item in columns)
        return svg.to_svg(axes, name="columns", alt=f"Share of the effect by column: {alt}.")


def deletion_curve(test: DeletionTest) -> Markup:
    """Draws how far the predicted label's probability falls by the share of tokens removed."""
    removed = [point.removed for point in test.points]
    with svg.chart() as axes:
        for kind, colour, marker, line in (
            ("top", svg.DARK, "o", "-"),
            ("random", svg.INK, "s", "--"),
        ):
            estimates: list[Estimate] = [getattr(point, kind) for point in test.points]
            ends = [_ends(item) for item in estimates]
            axes.vlines(removed, *zip(*ends, strict=True), color=colour, linewidth=1.4)
            axes.plot(removed, [item.value or 0.0 for item in estimates], color=colour,
                      marker=marker, linestyle=line, markersize=6, label=f"{kind} tokens",
                      markerfacecolor=colour if kind == "top" else "white")  # fmt: skip
        axes.axhline(0, color=svg.MUTED, linewidth=0.8)
        axes.set_xticks(removed, [f"{share:.0%}" for share in removed])
        axes.set(xlabel="tokens removed", ylabel="fall of the probability")
        axes.grid(True, axis="y")
        axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2)
        alt = "; ".join(
            f"{point.removed:.0%} removed: {_format(point.top)} for top tokens, "
            f"{_format(point.random)} for random ones"
            for point in test.points
        )
        return svg.to_svg(axes, name="deletion", alt=f"Fall of the probability. {alt}.")


def _ends(estimate: Estimate) -> tuple[float, float]:
    value = estimate.value or 0.0
    low, high = estimate.low, estimate.high
    return (value if low is None else low), (value if high is None else high)


def _format(estimate: Estimate) -> str:
    low, high = _ends(estimate)
    return f"{estimate.value or 0.0:.2f}, interval {low:.2f} to {high:.2f}"
