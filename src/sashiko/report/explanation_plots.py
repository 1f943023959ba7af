"""The pictures of the explanations: what each column moves, and the deletion test."""

from collections.abc import Sequence

from markupsafe import Markup

from sashiko.clarify.explain.record import ColumnImportance, DeletionTest
from sashiko.evaluation.metrics.uncertainty import Estimate
from sashiko.report import svg

_ROW_HEIGHT = 30


def column_bars(columns: Sequence[ColumnImportance]) -> Markup:
    """Draws each column's share of what moves the score, with its interval.

    Args:
        columns: by falling share, at least one.
    """
    with svg.chart(height=70 + _ROW_HEIGHT * len(columns)) as axes:
        for at, column in enumerate(reversed(columns)):
            value, (low, high) = column.share.value or 0.0, _ends(column.share)
            axes.barh(at, value, height=0.62, color=svg.LIGHT)
            axes.hlines(at, low, high, color=svg.DARK, linewidth=1.8)
            axes.annotate(f"{value:.0%}", (1.01, at), xycoords=("axes fraction", "data"),
                          va="center", fontsize=9.5)  # fmt: skip
        axes.set_yticks(range(len(columns)), [svg.shorten(item.name) for item in reversed(columns)])
        axes.tick_params(axis="y", length=0)
        axes.set(xlim=(0, 1), ylim=(-0.6, len(columns) - 0.4), xlabel="share of the effect, mean")
        axes.grid(True, axis="x")
        said = "; ".join(f"{item.name} {_say(item.share)}" for item in columns)
        return svg.to_svg(axes, name="columns", alt=f"Share of the effect by column: {said}.")


def deletion_curve(test: DeletionTest) -> Markup:
    """Draws how far the predicted label's probability falls by the share of tokens removed.

    Args:
        test: with at least one row.
    """
    removed = [point.removed for point in test.points]
    with svg.chart() as axes:
        for kind, colour, marker, line in (
            ("top", svg.DARK, "o", "-"),
            ("random", svg.INK, "s", "--"),
        ):
            found: list[Estimate] = [getattr(point, kind) for point in test.points]
            ends = [_ends(item) for item in found]
            axes.vlines(removed, *zip(*ends, strict=True), color=colour, linewidth=1.4)
            axes.plot(removed, [item.value or 0.0 for item in found], color=colour, marker=marker,
                      linestyle=line, markersize=6, label=f"{kind} tokens",
                      markerfacecolor=colour if kind == "top" else "white")  # fmt: skip
        axes.axhline(0, color=svg.MUTED, linewidth=0.8)
        axes.set_xticks(removed, [f"{share:.0%}" for share in removed])
        axes.set(xlabel="tokens removed", ylabel="fall of the probability")
        axes.grid(True, axis="y")
        axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2)
        said = "; ".join(
            f"{point.removed:.0%} removed: {_say(point.top)} for top tokens, {_say(point.random)} "
            "for random ones"
            for point in test.points
        )
        return svg.to_svg(axes, name="deletion", alt=f"Fall of the probability. {said}.")


def _ends(found: Estimate) -> tuple[float, float]:
    value = found.value or 0.0
    low, high = found.low, found.high
    return (value if low is None else low), (value if high is None else high)


def _say(found: Estimate) -> str:
    low, high = _ends(found)
    return f"{found.value or 0.0:.2f}, interval {low:.2f} to {high:.2f}"
