"""The ledgers of pitfalls name tests that exist, and each row has one or says that it is open."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LEDGERS = sorted(ROOT.glob("docs/pitfalls*.md"))
_TEST = re.compile(r"`(?P<file>[\w/]*\.py)?::(?P<name>test_\w+)`")
_FILE = re.compile(r"`(?P<file>[\w/]+\.py)`")


def rows(ledger: Path) -> list[str]:
    """The numbered rows of a ledger's tables."""
    return [line for line in ledger.read_text().splitlines() if re.match(r"\| \w*\d+ \|", line)]


def named_tests(row: str) -> list[tuple[Path, str]]:
    """A row's tests, as file and name; `::test_x` is in the file that was named last.

    Files without a folder are below `tests/infra/`.
    """
    found, file = [], ""
    for match in re.finditer(f"{_TEST.pattern}|{_FILE.pattern.replace('file', 'alone')}", row):
        file = match["file"] or match["alone"] or file
        if match["name"]:
            folder = ROOT if file.startswith("tests/") else ROOT / "tests/infra"
            found.append((folder / file, match["name"]))
    return found


@pytest.mark.parametrize("ledger", LEDGERS, ids=lambda path: path.stem)
def test_each_named_test_exists(ledger: Path) -> None:
    named = {pair for row in rows(ledger) for pair in named_tests(row)}

    assert named
    missing = [
        f"{file.relative_to(ROOT)}::{name}"
        for file, name in sorted(named)
        if not file.is_file() or f"def {name}(" not in file.read_text()
    ]
    assert missing == []


@pytest.mark.parametrize("ledger", LEDGERS, ids=lambda path: path.stem)
def test_a_pitfall_has_a_test_or_a_rule_or_is_open(ledger: Path) -> None:
    bare = [
        row[:60]
        for row in rows(ledger)
        if not (re.search(r"`[\w/]*test_\w+\.py", row) or "rule `" in row or "*open*" in row)
    ]
    assert bare == []
