"""Renders a page of the project as one self-contained HTML file."""

from importlib.resources import files

from markupsafe import Markup

from sashiko.report.words import inline_code

REPORT_FILE = "report.html"
_FRAME = "sashiko.report"  # what all pages extend


def render(page: object, *, template: str) -> str:
    """Renders a page's view as HTML; every text is escaped, only figures are markup.

    `template` is a package and a file in it, such as `sashiko.run_report/template.html.j2`; it may
    extend `base.html.j2` and import `macros.html.j2`.
    """
    from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined

    package, _, name = template.partition("/")
    environment = Environment(
        loader=ChoiceLoader([PackageLoader(part, "") for part in (package, _FRAME)]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["inline_code"] = inline_code
    sheet = files(_FRAME).joinpath("style.css").read_text()
    style = Markup(sheet)  # noqa: S704 - a file of this package
    html = environment.get_template(name).render(page=page, style=style)
    return html.lstrip()  # the macros leave blank lines
