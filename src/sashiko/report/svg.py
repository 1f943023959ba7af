"""Renders matplotlib figures as SVG for use many times in one HTML page."""

import io
import math
import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from markupsafe import Markup, escape

from sashiko.evaluation.gates.verdict import Check

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


INK = "#1b2026"
MUTED = "#59636e"
RULE = "#d5dae0"
# Apart in lightness, not in hue alone: they stay apart in grey and for colour-blind readers.
DARK = "#0b4f8a"
LIGHT = "#e6a04b"
ALLOWED = "#dcebe3"
_ROW_HEIGHT = 30
# On a logarithmic axis 0 has no place.
_RATIOS = (0.02, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0, 1.25, 2.0, 4.0, 8.0, 16.0, 32.0)
_PIXELS_PER_INCH = 96
_PIXELS_PER_POINT = 96 / 72
_STYLE = {
    "svg.hashsalt": "sashiko", "svg.fonttype": "none", "font.size": 9.5, "axes.titlesize": 9.5,
    "axes.labelcolor": INK, "axes.edgecolor": MUTED, "axes.linewidth": 0.8,
    "axes.spines.top": False, "axes.spines.right": False, "axes.axisbelow": True,
    "grid.color": RULE, "grid.linewidth": 0.6, "text.color": INK, "text.parse_math": False,
    "xtick.color": MUTED, "ytick.color": MUTED, "xtick.labelcolor": INK, "ytick.labelcolor": INK,
    "xtick.labelsize": 9, "ytick.labelsize": 9, "legend.frameon": False, "legend.fontsize": 9,
    "hatch.linewidth": 0.7,
}  # fmt: skip
_WRAPPING = re.compile(
    r"<\?xml.*?\?>|<!DOCTYPE.*?>|<metadata>.*?</metadata>|<style.*?</style>|<!--.*?-->", re.DOTALL
)
_REFERENCE = re.compile(r'(\bid="|\bhref="#|url\(#)')
_ROOT = re.compile(r"<svg\b[^>]*?viewBox=\"([^\"]*)\"[^>]*>", re.DOTALL)


def new_figure(*, width: float, height: float) -> "Figure":
    """Creates an empty figure of a size in CSS pixels, without a window or global state."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width / _PIXELS_PER_INCH, height / _PIXELS_PER_INCH))


def styled() -> Any:
    """Returns the context in which the report's figures are drawn and written."""
    import matplotlib

    return matplotlib.rc_context(_STYLE)


@contextmanager
def chart(*, width: float = 440, height: float = 330) -> "Iterator[Axes]":
    """Opens a styled figure of one pair of axes, its sizes in CSS pixels; end with `to_svg`."""
    with styled():
        yield axes_of(new_figure(width=width, height=height))


@contextmanager
def row_chart(names: Sequence[str], *, length: int = 28, width: float = 440) -> "Iterator[Axes]":
    """Opens a chart with a row for each name, the first one at the top: at the greatest height."""
    with chart(width=width, height=70 + _ROW_HEIGHT * len(names)) as axes:
        axes.set_yticks(range(len(names)), [shorten(name, length) for name in reversed(names)])
        axes.set_ylim(-0.6, len(names) - 0.4)
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)
        yield axes


def row_figure(axes: "Axes", index: int, text: str, *, bold: bool = False) -> None:
    """Writes a row's figure at the right of the chart."""
    axes.annotate(text, (1.02, index), xycoords=("axes fraction", "data"), va="center",
                  fontsize=9.5, fontweight="bold" if bold else "normal")  # fmt: skip


def axes_of(figure: "Figure") -> "Axes":
    """Returns the figure's only axes."""
    return figure.subplots()


def to_svg(picture: "Figure | Axes", *, name: str, alt: str) -> Markup:
    """Writes a figure as one `<svg>`, the same bytes each time; its ids start with `name`.

    Returns:
        Markup without XML prologue, metadata or a style sheet that would reach the whole page.
    """
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    figure: Any = getattr(picture, "figure", None) or picture
    buffer = io.StringIO()
    with warnings.catch_warnings():
        # The reader's browser has fonts for letters that matplotlib's own font lacks.
        warnings.filterwarnings("ignore", r"Glyph \d+ .* missing from font", UserWarning)
        # Laid out once by hand: a figure that owns the engine is drawn twice.
        ConstrainedLayoutEngine().execute(figure)
        figure.savefig(buffer, format="svg")
    text = _WRAPPING.sub("", buffer.getvalue())
    text = _REFERENCE.sub(rf"\g<1>{name}-", text)
    view_box = _ROOT.search(text)[1]  # type: ignore[index]  # matplotlib writes one
    width = float(view_box.split()[2]) * _PIXELS_PER_POINT
    start = (
        f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
        f'viewBox="{view_box}" style="max-width:{width:.0f}px" '
        f'role="img" aria-label="{escape(alt)}">'
    )
    text = _ROOT.sub(lambda _: start, text, count=1)
    return Markup(re.sub(r"\n\s*", "\n", text).strip())  # noqa: S704 - matplotlib escapes its texts


def identifier(text: str) -> str:
    """Encodes any text as a unique, valid id."""
    return "".join(c if c.isascii() and c.isalnum() else f"_{ord(c):x}" for c in text)


def shorten(text: str, length: int = 28) -> str:
    """Truncates a text that is too long for a figure."""
    return text if len(text) <= length else f"{text[: length - 1]}…"


def value_axis(axes: "Axes", values: Sequence[float], *, neutral: float) -> tuple[float, float]:
    """Fits the horizontal axis around values and returns its limits; a ratio's is logarithmic."""
    from matplotlib.ticker import NullLocator

    low, high = min(*values, neutral), max(*values, neutral)
    air = max((high - low) * 0.08, 0.02)
    limits = (low - air, high + air)
    if neutral == 1:
        low, high = max(low, _RATIOS[0]), min(high, _RATIOS[-1])
        air = max((high / low) ** 0.08, 1.1)
        limits = (low / air, high * air)
        ticks = [mark for mark in _RATIOS if limits[0] <= mark <= limits[1]]
        axes.set_xscale("log")
        axes.xaxis.set_minor_locator(NullLocator())
        axes.set_xticks(ticks, [f"{mark:g}" for mark in ticks])
    axes.set_xlim(limits)
    return limits


def allowed_range(check: Check) -> tuple[float, float] | None:
    """Returns the allowed range of a check; a missing bound is infinite."""
    match check.threshold, check.comparison:
        case (float(low), float(high)), "in_range":
            return low, high
        case float(bound), ">=" | ">":
            return bound, math.inf
        case float(bound), "<=" | "<":
            return -math.inf, bound
    return None
