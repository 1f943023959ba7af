"""A report's page, read as a browser reads it."""

import re
from html.parser import HTMLParser
from pathlib import Path

from sashiko.run_report import write_report

VOID = {"meta", "link", "br", "hr", "img", "input"}
HOSTILE = '<script>alert("x")</script>&{{ 7*7 }}'


class Page(HTMLParser):
    """What a browser would see: texts by section, ids, references, open tags."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.html = html
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.section = "top"
        self.texts: dict[str, list[str]] = {}
        self.feed(html)
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag == "section":
            self.section = dict(attrs).get("id") or "decision"
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] != "style":
            self.texts.setdefault(self.section, []).append(data)

    def text(self, section: str) -> str:
        return " ".join(" ".join(self.texts[section]).split())


def page_of(folder: Path) -> Page:
    path = write_report(folder, folder.parent.parent)
    assert path == folder / "report.html"
    return Page(path.read_text())


def pictures(page: Page, section: str) -> list[str]:
    """The text alternatives of a section's pictures."""
    part = page.html.split(f'<section id="{section}"')[1].split("</section>")[0]
    return re.findall(r'role="img" aria-label="([^"]*)"', part)
