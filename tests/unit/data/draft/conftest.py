"""A folder that looks like the repository, to draft in."""

import csv
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from sashiko.contract.load import load_contract
from sashiko.contract.model import Contract
from sashiko.data.draft.csv_format import FormatOptions
from sashiko.data.draft.guess import make_draft
from sashiko.data.draft.naming import project_name
from sashiko.data.draft.write import source_path, write_draft
from sashiko.pipeline.project import check_recipe
from sashiko.settings.recipe import Recipe, load_recipe

ROOT = Path(__file__).parents[4]
ROWS = 200


@pytest.fixture(autouse=True)
def repository(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(ROOT / "recipes/models", "recipes/models")
    return tmp_path


def columns(**changes: Sequence[Any] | None) -> dict[str, Sequence[Any]]:
    """Columns of a small data set, with others in their place; None leaves one out."""
    table: dict[str, Any] = {
        "Visit ID": [f"V{n:03d}" for n in range(ROWS)],
        "Kind": [("first", "second", "follow-up")[n % 3] for n in range(ROWS)],
        "Group": [("a", "b")[n // 2 % 2] for n in range(ROWS)],
        "No Show": [("no", "no", "yes")[n * 7 % 11 % 3] for n in range(ROWS)],
    }
    table |= {name.replace("_", " "): values for name, values in changes.items()}
    return {name: values for name, values in table.items() if values is not None}


def write_csv(
    path: Path, table: Mapping[str, Sequence[Any]], *, delimiter: str = ",", encoding: str = "utf-8"
) -> Path:
    with path.open("w", encoding=encoding, newline="") as handle:
        writer = csv.writer(handle, delimiter=delimiter)
        writer.writerow(table)
        writer.writerows(zip(*table.values(), strict=True))
    return path


@pytest.fixture
def draft(repository):
    """Drafts from columns, writes both files, and reads them as a run would."""

    def make(
        table: Mapping[str, Sequence[Any]] | Path,
        *,
        label: str = "No Show",
        facets: Any = (),
        **options: Any,
    ) -> tuple[Contract, Recipe]:
        path = table if isinstance(table, Path) else write_csv(repository / "visits.csv", table)
        content = make_draft(
            path, name=project_name(path), source=source_path(path), label=label, facets=facets,
            options=FormatOptions(**options),
        )  # fmt: skip
        make.notes = content.notes
        contract_file, recipe_file = write_draft(content)
        contract, recipe = load_contract(contract_file), load_recipe(recipe_file)
        check_recipe(recipe, contract, source=recipe_file)
        return contract, recipe

    make.notes = ()
    return make
