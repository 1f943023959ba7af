"""What finds a row or a person again is kept from training, and rows that come twice are named."""

from pathlib import Path

import pytest

from sashiko.data.ingest import check_file
from tests.unit.data.draft.conftest import ROWS, columns

FEW = ["a", "b"] * (ROWS // 2)
# The same 150 customers come again and again.
CUSTOMERS = [f"K{7 * n % 150:03d}" for n in range(ROWS)]


def _kept_out(contract, recipe, name: str) -> bool:
    return (
        contract.column(name).classification == "pii"
        and name not in contract.text_columns
        and f"{{{name}}}" not in recipe.text.template
    )


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("Kundennummer", CUSTOMERS),
        ("Customer No", [f"C{n}" for n in range(ROWS)]),
        ("Kunden-Nr", list(range(500, 500 + ROWS))),
        ("PLZ", [f"{10_000 + n % 90}" for n in range(ROWS)]),
        ("Postcode", [f"AB{n % 40} 1XY" for n in range(ROWS)]),
        ("Straße", ["Am Markt 1", "Am Ring 2"] * (ROWS // 2)),
        ("Case Ref", [f"{n // 2}" for n in range(ROWS)]),  # called as a key is
        ("rownames", [f"Mazda RX{n}" for n in range(ROWS)]),
        ("Konto", [4_000_000 + 37 * n for n in range(ROWS)]),  # many digits in every value
        ("Folge", list(range(1, ROWS + 1))),  # a running number
        ("Marke", [f"x{n:04x}" for n in range(ROWS - 4)] + ["x0000"] * 4),  # nearly a key
        ("Token", [f"{n:08x}-aaaa-bbbb-cccc-{n:012x}" for n in range(ROWS)]),
    ],
)
def test_what_finds_a_row_or_a_person_again_is_kept_from_training(draft, name, values):
    contract, recipe = draft(columns() | {name: values})
    [column] = [column for column in contract.columns if column.physical_name == name]
    assert _kept_out(contract, recipe, column.name)
    text = Path("contracts/visits.odcs.yaml").read_text()
    assert "classification: pii  # review: " in text
    assert contract.key == "visit_id"
    assert check_file(Path("visits.csv"), contract).passed


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("Amount", [37 * n * n % 9973 for n in range(ROWS)]),  # nearly all different
        ("Price", [n * 1.25 for n in range(ROWS)]),
        ("Product No", [f"P{n % 40}" for n in range(ROWS)]),  # a thing's, many rows to each
        ("Ward No", [n % 9 for n in range(ROWS)]),
        ("Note", [f"arrived late by {n} minutes and left" for n in range(ROWS)]),
        (
            "備考",
            [
                f"予約は{n}分遅れて到着しましたが、診察は予定どおり行われました。"
                for n in range(ROWS)
            ],
        ),
    ],
)
def test_what_describes_a_row_is_trained_on(draft, name, values):
    contract, _ = draft(columns() | {name: values})
    column = contract.columns[-1]
    assert (column.physical_name, column.classification) == (name, "none")
    assert column.name in contract.text_columns


def test_a_customer_number_is_no_key_although_it_tells_the_rows_apart(draft):
    numbers = [f"K{n}" for n in range(ROWS)]
    contract, recipe = draft(columns(Visit_ID=None) | {"Kundennummer": numbers})
    assert contract.key == "row_number"
    assert _kept_out(contract, recipe, "kundennummer")


def test_rows_that_come_twice_are_named_with_count_rows_and_advice(draft):
    table = {name: [*values, *values[10:14]] for name, values in columns().items()}
    contract, _ = draft(table)
    assert contract.limitations == "4 rows repeat an earlier one in every column."
    line = "review: such as rows 201, 202, 203: remove what was loaded twice, or say why"
    assert line in Path("contracts/visits.odcs.yaml").read_text()
    assert (
        "4 rows repeat an earlier one in every column, such as rows 201, 202, 203: remove at the "
        "source what was loaded twice, and start again"
    ) in draft.notes
    assert any(
        note.startswith("visit_id is nearly a key: 4 of 204 rows repeat an earlier value, such as")
        for note in draft.notes
    )
    assert contract.key == "row_number"
    assert contract.column("visit_id").classification == "pii"


def test_rows_that_differ_in_their_key_alone_are_named_as_well(draft):
    notes = [f"seen for the {n % 190}th time in this room, and then sent home" for n in range(ROWS)]
    table = {"Visit ID": columns()["Visit ID"], "Note": notes, "No Show": FEW}
    contract, _ = draft(table)
    assert contract.limitations == "10 rows repeat an earlier one in every column but visit_id."
    assert contract.key == "visit_id"


def test_a_file_without_repetition_says_nothing_of_it(draft):
    texts = [f"seen for the {n}th time in this room, and then sent home" for n in range(ROWS)]
    contract, _ = draft(columns(Note=texts))
    assert contract.limitations == "Not known."
    assert not any("repeat" in note for note in draft.notes)
