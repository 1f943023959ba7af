"""What stands in the documentation is what the code says."""

import json
import re
from datetime import date
from pathlib import Path

import pytest

from docs.generate import ROOT, generated
from sashiko.packs import enabled_packs
from verification.budgets import words


@pytest.fixture(scope="module")
def current() -> dict[Path, str]:
    return generated()


@pytest.mark.parametrize(
    "name",
    [
        "api.md",
        "cli.md",
        "configuration.md",
        "decisions/index.md",
        "faults.md",
        "inferentia.md",
        "images/cost-per-million.svg",
        "verified.md",
        *(f"packs/{pack.name}.md" for pack in enabled_packs(folder=ROOT / "config")),
    ],
)
def test_generated_documents_are_current(current: dict[Path, str], name: str) -> None:
    path = ROOT / "docs" / name
    assert path.read_text() == current[path], "run `make docs` and look at the diff"


# The picture of a terminal is dark in both modes.
_PICTURES = sorted(set((ROOT / "docs/images").glob("*.svg")) - {ROOT / "docs/images/live-run.svg"})


@pytest.mark.parametrize("path", _PICTURES, ids=lambda path: path.name)
def test_pictures_follow_dark_mode_and_can_be_read_on_a_phone(path: Path) -> None:
    svg = path.read_text()
    assert "prefers-color-scheme: dark" in svg
    assert 'role="img"' in svg
    assert not re.search(r"#fff(?:fff)?\b|white", svg)
    width = float(re.findall(r'viewBox="\S+ \S+ ([\d.]+) ', svg)[0])
    sizes = [float(size) for size in re.findall(r'font-size[:=]\s*"?([\d.]+)', svg)]
    assert min(sizes) * 400 / width >= 8 or "@media (max-width: 480px)" in svg


_MOST_WORDS = 30  # of a table's cell: more is a paragraph
_PAGES = [
    page
    for pattern in ("*.md", "docs/*.md", "verification/*.md")
    for page in ROOT.glob(pattern)
    if page.name != "CHANGELOG.md" and words(page)
]


def long_cells(text: str) -> list[str]:
    """Finds the cells of tables with more words than may be, outside of code."""
    rows = re.findall(r"^\|.*\|$", re.sub(r"```.*?```", "", text, flags=re.DOTALL), re.MULTILINE)
    cells = [cell.strip() for row in rows for cell in re.split(r"(?<!\\)\|", row)]
    return [cell for cell in cells if len(cell.split()) > _MOST_WORDS]


@pytest.mark.parametrize("page", _PAGES, ids=lambda page: page.name)
def test_no_cell_of_a_table_is_a_paragraph(page: Path) -> None:
    assert long_cells(page.read_text()) == []


def test_a_cell_that_is_a_paragraph_is_found() -> None:
    row = f"| a \\| b | {'word ' * 31}|"
    assert long_cells(row) == [("word " * 31).strip()]
    assert long_cells(f"```\n{row}\n```\n| {'word ' * 30}|") == []


def test_notebooks_are_kept_without_outputs() -> None:
    for path in (ROOT / "notebooks").glob("*.ipynb"):
        cells = [cell for cell in json.loads(path.read_text())["cells"] if "outputs" in cell]
        assert cells
        for cell in cells:
            assert (cell["outputs"], cell["execution_count"]) == ([], None), path.name


# How this project writes a law: of the US code and regulations, and the AI Act's articles.
_LAW = re.compile(
    r"\d+ (?:CFR|U\.S\.C\.) [\w.-]+\w|Article \d+\w*(?= of the AI Act)|(?<=AI Act, )Article \d+\w*"
)
_CITED = re.compile(r"^\| (?P<law>.+?) \| .+ \| (?P<read>\d{4}-\d\d-\d\d).* \|$", re.MULTILINE)


def test_each_cited_law_says_when_it_was_read() -> None:
    table = _CITED.findall((ROOT / "docs/reweighing.md").read_text())
    assert all(date.fromisoformat(read) for _, read in table)
    laws = {law for names, _ in table for law in _LAW.findall(names)}
    texts = [
        path
        for pattern in ("*.md", "docs/**/*.md", "recipes/**/*.yaml", "contracts/*.yaml", "src/**/*")
        for path in ROOT.glob(pattern)
        if path.suffix in {".md", ".yaml", ".py", ".j2"}
    ]
    cited = {law: path for path in texts for law in _LAW.findall(path.read_text())}
    assert len(cited) >= 4
    unread = {law: str(path) for law, path in cited.items() if law not in laws}
    assert not unread, "give each a row with its date in docs/reweighing.md"
