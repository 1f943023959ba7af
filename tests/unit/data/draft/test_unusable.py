"""Files that a draft refuses or warns of: without a header, too small, drafted before."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from sashiko.commands.contract import app
from sashiko.errors import InputError
from tests.unit.data.draft.conftest import ROWS, columns, write_csv

DAYS = [f"{1 + n % 28:02d}.{1 + n // 28 % 12:02d}.2025" for n in range(ROWS)]


@pytest.mark.parametrize("first", ["17,50", "03.04.2025", "42"])
def test_a_file_without_a_header_is_refused_by_the_value_in_its_place(draft, first):
    table = columns(**{"No Show": None}) | {
        first: {"17,50": [f"{n},25" for n in range(ROWS)], "03.04.2025": DAYS}.get(
            first, list(range(ROWS))
        ),
        "No Show": ["no", "yes"] * (ROWS // 2),
    }
    path = write_csv(Path("visits.csv"), table, delimiter=";")
    with pytest.raises(InputError, match="the first line seems to be a row") as error:
        draft(path)
    assert f"`{first}`" in str(error.value)


def test_years_are_names_of_columns(draft):
    contract, _ = draft(columns(**{"2024": list(range(5, ROWS + 5))}))
    assert contract.column("column_2024").logical_type == "integer"


@pytest.mark.parametrize(("rows", "positives"), [(49, 20), (ROWS, 4)])
def test_a_file_that_no_run_takes_is_drafted_with_a_warning(draft, rows, positives):
    table = {name: values[:rows] for name, values in columns().items()}
    table["No Show"] = ["yes"] * positives + ["no"] * (rows - positives)
    draft(table)
    warning = f"{rows} rows, {positives} of them positive: `sashiko run` will refuse this"
    assert any(note.startswith(warning) for note in draft.notes)


def test_an_ordinary_file_has_no_such_warning(draft):
    draft(columns())
    assert not any("will refuse" in note for note in draft.notes)


def test_a_draft_is_replaced_on_request_alone():
    write_csv(Path("visits.csv"), columns())
    arguments = ["init", "visits.csv", "--label", "No Show"]
    assert CliRunner().invoke(app, arguments).exit_code == 0
    contract = Path("contracts/visits.odcs.yaml")
    contract.write_text("reviewed\n")
    again = CliRunner().invoke(app, [*arguments, "--facet", "Group"])
    assert "add --replace to draft both files again" in str(again.exception)
    assert contract.read_text() == "reviewed\n"
    done = CliRunner().invoke(app, [*arguments, "--facet", "Group", "--replace"])
    assert done.exit_code == 0
    assert "disadvantaged" in contract.read_text()
