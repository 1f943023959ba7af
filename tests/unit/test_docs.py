"""What stands in the documentation is what the code says."""

import json
from pathlib import Path

import pytest

from docs.generate import ROOT, generated


@pytest.mark.parametrize(
    "path", [ROOT / "docs/architecture.md", ROOT / "docs/cli.md"], ids=lambda path: path.name
)
def test_generated_documents_are_current(path: Path) -> None:
    assert path.read_text() == generated()[path], "run `make docs` and look at the diff"


def test_notebooks_are_kept_without_outputs() -> None:
    for path in (ROOT / "notebooks").glob("*.ipynb"):
        cells = [cell for cell in json.loads(path.read_text())["cells"] if "outputs" in cell]
        assert cells
        for cell in cells:
            assert (cell["outputs"], cell["execution_count"]) == ([], None), path.name
