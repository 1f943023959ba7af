"""What stands in the documentation is what the code says."""

import json
from pathlib import Path

import pytest

from docs.generate import ROOT, generated


@pytest.fixture(scope="module")
def current() -> dict[Path, str]:
    return generated()


@pytest.mark.parametrize(
    "name",
    [
        "api.md",
        "architecture.md",
        "cli.md",
        "faults.md",
        "inferentia.md",
        "images/cost-per-million.svg",
    ],
)
def test_generated_documents_are_current(current: dict[Path, str], name: str) -> None:
    path = ROOT / "docs" / name
    assert path.read_text() == current[path], "run `make docs` and look at the diff"


def test_notebooks_are_kept_without_outputs() -> None:
    for path in (ROOT / "notebooks").glob("*.ipynb"):
        cells = [cell for cell in json.loads(path.read_text())["cells"] if "outputs" in cell]
        assert cells
        for cell in cells:
            assert (cell["outputs"], cell["execution_count"]) == ([], None), path.name
