"""Renders a page of the project as one self-contained HTML file."""

from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from markupsafe import Markup

from sashiko.base.files import write_bytes
from sashiko.report.views import Page
from sashiko.report.words import inline_code

REPORT_FILE = "report.html"


@cache
def _environment() -> Any:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("sashiko.report", ""),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["inline_code"] = inline_code
    return environment


def write_page(page: Page, path: Path) -> Path:
    """Writes a page and returns its path; every text is escaped, only figures are markup.

    Raises:
        InputError: if it cannot be written.
    """
    sheet = files("sashiko.report").joinpath("style.css").read_text()
    style = Markup(sheet)  # noqa: S704 - a file of this package
    html = _environment().get_template("page.html.j2").render(page=page, style=style)
    write_bytes(path, html.lstrip().encode())  # the macros leave blank lines
    return path
