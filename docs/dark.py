"""Pictures that follow the reader's light or dark mode, without a background of their own."""

import re
from html import escape
from pathlib import Path

_STYLES = Path(__file__).parent
_ROOT = re.compile(r'<svg [^>]*?viewBox="0\.00 0\.00 ([\d.]+) ([\d.]+)"[^>]*>')
_OWN = re.compile(
    r'<!--.*?-->\n?|<title>.*?</title>\n?| (?:fill|stroke|font-family)="(?!none)[^"]*"', re.DOTALL
)
_SLACK = 0.88  # Graphviz measures Helvetica, and a reader's font may be wider


def chart(svg: str) -> str:
    """Lets a chart of matplotlib follow the mode, by `chart.css`."""
    style = f"<style>\n{(_STYLES / 'chart.css').read_text()}</style>"
    return svg.replace("fill: #ffffff", "fill: none").replace("<defs>", f"{style}\n<defs>", 1)


def diagram(svg: str, title: str, text: str) -> str:
    """Makes a picture of what Graphviz has laid out, with the classes of `diagram.css`.

    Args:
        svg: as Graphviz writes it.
        title: what the picture is.
        text: what it shows, for those who do not see it.
    """
    _, width, height, body = _ROOT.split(_OWN.sub("", svg), maxsplit=1)
    size = re.compile(r'font-size="([\d.]+)"')
    body = size.sub(lambda match: f'font-size="{float(match[1]) * _SLACK:.1f}"', body)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}" role="img" aria-labelledby="title text">\n'
        f'<title id="title">{escape(title)}</title>\n<desc id="text">{escape(text)}</desc>\n'
        f"<style>\n{(_STYLES / 'diagram.css').read_text()}</style>\n{body}"
    )
