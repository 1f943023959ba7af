"""Pictures that follow the reader's light or dark mode, without a background of their own."""

import re
from html import escape

from sashiko.report.svg import DARK, INK, LIGHT, MUTED, RULE

INK_IN_THE_DARK, MUTED_IN_THE_DARK = "#e8ebef", "#a7b0ba"
# What a chart of matplotlib is drawn in -> the same in the dark.
_CHART = {
    INK: INK_IN_THE_DARK, MUTED: MUTED_IN_THE_DARK, RULE: "#3a424b", DARK: "#64a9e8",
    LIGHT: "#e6a04b", "#5a96cc": "#b9d8f5",
}  # fmt: skip
# Class of a diagram's box -> its colour, and the same in the dark.
_BOXES = {
    "node": ("#eef1f4", "#2b323a"), "blue": ("#cfe3f5", "#1d3b57"), "green": ("#d9ecd2", "#24452a"),
    "purple": ("#e6dcf2", "#43325f"), "orange": ("#f5dccf", "#5f3622"),
    "yellow": ("#f5edc4", "#4f4716"), "red": ("#f9d3d3", "#642929"),
}  # fmt: skip
_ROOT = re.compile(r'<svg [^>]*?viewBox="0\.00 0\.00 ([\d.]+) ([\d.]+)"[^>]*>')
_SIZE = re.compile(r'font-size="([\d.]+)"')
_SLACK = 0.88  # Graphviz measures Helvetica, and a reader's font may be wider
_OWN_COLOUR = re.compile(r' (?:fill|stroke|font-family)="(?!none)[^"]*"')


# A picture's own width counts in its style sheet.
_ON_A_PHONE = "@media (max-width:480px){text{font-size:10px!important}}"


def chart(svg: str) -> str:
    """Lets a chart of matplotlib follow the mode, by a style sheet of its own."""
    rules = "".join(
        f'[style*="{what}: {light}"]{{{what}:{dark}!important}}'
        for light, dark in _CHART.items()
        for what in ("fill", "stroke")
    )
    style = f"<style>@media (prefers-color-scheme:dark){{{rules}}}{_ON_A_PHONE}</style>"
    return svg.replace("fill: #ffffff", "fill: none").replace("<defs>", f"{style}\n<defs>", 1)


def diagram(svg: str, *, title: str, text: str) -> str:
    """Makes a picture of what Graphviz has laid out.

    Args:
        svg: as Graphviz writes it, its boxes in the classes above.
        title: what the picture is.
        text: what it shows, for those who do not see it.
    """
    body = re.sub(r"<!--.*?-->\n?|<title>.*?</title>\n?", "", svg, flags=re.DOTALL)
    _, width, height, body = _ROOT.split(body, maxsplit=1)
    body = _OWN_COLOUR.sub("", body)
    body = _SIZE.sub(lambda match: f'font-size="{float(match[1]) * _SLACK:.1f}"', body)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}" role="img" aria-labelledby="title text">\n'
        f'<title id="title">{escape(title)}</title>\n<desc id="text">{escape(text)}</desc>\n'
        f"<style>{_sheet(0, INK, MUTED)}\n"
        f"@media (prefers-color-scheme:dark){{{_sheet(1, INK_IN_THE_DARK, MUTED_IN_THE_DARK)}}}"
        f"</style>\n{body}"
    )


def _sheet(mode: int, ink: str, muted: str) -> str:
    boxes = (
        f".{name} :is(path,polygon):not([fill=none]){{fill:{colours[mode]}}}"
        for name, colours in _BOXES.items()
    )
    return (
        f"text{{font-family:Helvetica,Arial,sans-serif;fill:{ink}}}{''.join(boxes)}"
        f".node path{{stroke:{muted}}}.cluster polygon{{stroke:{muted};stroke-dasharray:5 4}}"
        f".edge path{{fill:none;stroke:{muted}}}.edge polygon{{fill:{muted};stroke:{muted}}}"
    )
