"""Seconds as horizontal bars, for the pictures beside the tables."""

from collections.abc import Mapping

from markupsafe import Markup

from sashiko.report.svg import DARK, LIGHT, axes_of, new_figure, styled, to_svg

_ROW, _AROUND = 24, 60  # pixels


def seconds_as_bars(
    seconds: Mapping[str, float], *, ours: frozenset[str], name: str, alt: str
) -> Markup:
    """Draws a bar for each label, the first at the top.

    Args:
        seconds: label -> seconds.
        ours: the labels whose bars are dark.
        name: unique on a page; ids inside the picture start with it.
        alt: the text for a reader who cannot see the picture.
    """
    labels = list(seconds)
    with styled():
        figure = new_figure(width=720, height=_AROUND + _ROW * len(labels))
        figure.set_facecolor("white")
        axes = axes_of(figure)
        colours = [DARK if label in ours else LIGHT for label in labels]
        bars = axes.barh(range(len(labels)), list(seconds.values()), color=colours, height=0.65)
        axes.bar_label(bars, [f"{value:.2f}" for value in seconds.values()], padding=4)
        axes.set_yticks(range(len(labels)), labels)
        axes.invert_yaxis()
        axes.margins(x=0.1)
        axes.set_xlabel("seconds")
        axes.grid(True, axis="x")
        return to_svg(figure, name=name, alt=alt)
