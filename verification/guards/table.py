"""The rows of the pitfalls pages with their tests, and `mutations.yaml`: what makes those fail."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import Field

from sashiko.base.yaml_models import Frozen, read_yaml, validate
from sashiko.errors import InputError

TABLE = Path(__file__).parent / "mutations.yaml"
ROOT = Path(__file__).parents[2]
PAGES = sorted(ROOT.glob("docs/pitfalls*.md"))
_ROW = re.compile(r"\| (?P<number>[\w-]*\d+) \|")
_TEST = re.compile(r"`(?P<file>[\w/]*\.py)?::(?P<name>test_\w+)`|`(?P<alone>[\w/]+\.py)`")


@dataclass(frozen=True)
class Row:
    """A row of a page's tables, as it is written."""

    page: str  # such as `pitfalls-ml`
    number: str  # such as `C6`
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
        file, named = "", []
        for match in _TEST.finditer(self.text):
            file = match["file"] or match["alone"] or file
            if match["name"]:
                folder = "" if file.startswith(("tests/", "verification/")) else "tests/infra/"
                named.append(f"{folder}{file}::{match['name']}")
        return tuple(named)


def of_missing_pack(file: str) -> bool:
    """Says whether a file is of a pack that this copy has been left without."""
    folder = re.match(r"(?:tests/packs|src/sashiko_packs)/\w+(?=/)", file)
    return folder is not None and not (ROOT / folder[0]).is_dir()


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


class Mutation(Frozen):
    """One small change of a guard."""

    file: str  # that is changed, below the repository's root
    there: str = Field(min_length=1)  # what is there; it occurs exactly once
    put: str  # in its place
    caught_by: tuple[str, ...] = Field(min_length=1)  # what must fail, named in the page's row
    slow: bool = False  # whether the tests take longer than the short form has time for


class _Page(Frozen):
    rows: dict[str, tuple[Mutation, ...]]


@dataclass(frozen=True)
class Guard:
    """A mutation, and the row that it is of."""

    row: Row
    mutation: Mutation

    @property
    def tests(self) -> tuple[str, ...]:
        """The tests that must fail, as pytest has them."""
        return tuple(
            test for test in self.row.tests if test.partition("::")[2] in self.mutation.caught_by
        )


def read_table(path: Path = TABLE) -> tuple[Guard, ...]:
    """Reads the table and checks it against the pages and the code.

    Raises:
        InputError: names every row without an entry, every entry without a row, every test that
            its row does not name, and every `there` that does not occur exactly once.
    """
    pages = {
        page: validate(_Page, {"rows": entries or {}}, source=f"{path}, {page}").rows
        for page, entries in read_yaml(path).items()
    }
    rows = all_rows()
    if faults := [*_unmatched(pages, rows), *_misfits(pages, rows)]:
        raise InputError(f"{path} does not fit:\n" + "\n".join(f"  {fault}" for fault in faults))
    return tuple(
        Guard(row, mutation)
        for (page, number), row in rows.items()
        for mutation in pages[page][number]
    )


_Entries = Mapping[str, Mapping[str, tuple[Mutation, ...]]]


def _unmatched(pages: _Entries, rows: Mapping[tuple[str, str], Row]) -> Iterator[str]:
    for (page, number), row in rows.items():
        entries = pages.get(page, {}).get(number)
        if entries is None:
            yield f"{row.name} has no entry; one without a test that could fail is `[]`"
        elif not entries and "*open*" not in row.text:
            yield f"{row.name} has no mutation, and its row does not say *open*"
    for page, entries in pages.items():
        for number in entries:
            if (page, number) not in rows:
                yield f"docs/{page}.md has no row {number}"


def _misfits(pages: _Entries, rows: Mapping[tuple[str, str], Row]) -> Iterator[str]:
    for (page, number), row in rows.items():
        names = {test.partition("::")[2] for test in row.tests}
        for mutation in pages.get(page, {}).get(number, ()):
            for name in mutation.caught_by:
                if name not in names:
                    yield f"{row.name} names no test {name}"
            file = ROOT / mutation.file
            times = file.read_text("utf-8").count(mutation.there) if file.is_file() else 0
            if times != 1:
                yield (
                    f"{row.name}: {mutation.file} has {times} of, where one is due: "
                    f"{mutation.there.strip()!r}"
                )
            if mutation.there == mutation.put:
                yield f"{row.name}: {mutation.file}: what is put there is what is there"
