"""The rows of the pitfalls pages, and the tests that each names."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = sorted(ROOT.glob("docs/pitfalls*.md"))
_ROW = re.compile(r"\| (?P<number>[\w-]*\d+) \|")
_TEST = re.compile(
    r"`(?P<file>[\w/]*\.py)?::(?P<name>test_\w+)`|`(?P<alone>[\w/]+\.py)`",
)


@dataclass(frozen=True)
class Row:
    """A row of a page's tables.

    Attributes:
        page: the page's name, such as `pitfalls-ml`.
        number: such as `C6`.
        text: the row as it is written.
    """

    page: str
    number: str
    text: str

    @property
    def name(self) -> str:
        """Page and number, as messages have it."""
        return f"{self.page} {self.number}"

    @property
    def tests(self) -> tuple[str, ...]:
        """The named tests as pytest has them; `::test_x` is in the file that was named last.

        Files without a folder are below `tests/infra/`.
        """
        return tuple(_tests(self.text))


def _tests(text: str) -> Iterator[str]:
    file = ""
    for match in _TEST.finditer(text):
        file = match["file"] or match["alone"] or file
        if match["name"]:
            folder = "" if file.startswith(("tests/", "verification/")) else "tests/infra/"
            yield f"{folder}{file}::{match['name']}"


def rows(page: Path) -> tuple[Row, ...]:
    """Reads the numbered rows of a page's tables, in their order."""
    return tuple(
        Row(page=page.stem, number=match["number"], text=line)
        for line in page.read_text(encoding="utf-8").splitlines()
        if (match := _ROW.match(line))
    )


def all_rows() -> dict[tuple[str, str], Row]:
    """Page and number -> row, of all pages."""
    return {(row.page, row.number): row for page in PAGES for row in rows(page)}
