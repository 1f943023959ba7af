"""Columns that are filled in after the decision do not come into the drafted text."""

import datetime as dt
from pathlib import Path

from tests.e2e.loans import make_loans
from tests.unit.data.draft.conftest import ROWS, columns

LABELS = ["yes" if n % 5 == 0 else "no" for n in range(ROWS)]
_LEFT_OUT = "Left out, as each tells the label apart alone: "


def test_a_leaking_column_is_left_out_of_the_text_and_a_guess_to_review(draft):
    table = columns(No_Show=LABELS, Reason=["ill" if x == "yes" else "" for x in LABELS])
    contract, recipe = draft(table)
    assert contract.text_columns == ("kind", "group")
    assert "{reason}" not in recipe.text.template
    assert contract.column("reason").classification == "none"
    text = Path("contracts/visits.odcs.yaml").read_text()
    assert (
        "# review: alone it tells the label apart with an AUC of 1.000 (filled in 100.0 % of the "
        "positive rows and 0.0 % of the others)" in text
    )
    assert f"{_LEFT_OUT}reason" in text
    [note] = [note for note in draft.notes if "tells the label apart alone" in note]
    assert note.endswith(": reason (AUC 1.000)")


def test_a_column_that_nearly_tells_the_label_apart_is_a_question(draft):
    waits = [n % 7 + (40 if x == "yes" and n % 100 else 0) for n, x in enumerate(LABELS)]
    contract, _ = draft(columns(No_Show=LABELS, Wait=waits))
    assert "wait" in contract.text_columns
    text = Path("contracts/visits.odcs.yaml").read_text()
    assert "is it known when the model is asked?" in text
    assert _LEFT_OUT not in text
    assert any(note.startswith("nearly tells the label apart") for note in draft.notes)


def test_rows_are_not_split_by_a_date_that_tells_the_label_apart(draft):
    rows = 2000
    late = {*range(1800, rows)} - {1850, 1900} | {700, 1500}  # each part in time has both labels
    days = [dt.date(2020, 1, 1) + dt.timedelta(days=n) for n in range(rows)]
    table = {
        "Kind": [("first", "second", "follow-up")[n % 3] for n in range(rows)],
        "Missed On": [day.isoformat() for day in days],
        "No Show": ["yes" if n in late else "no" for n in range(rows)],
    }
    contract, _ = draft(table)
    assert contract.split.kind == "text_hash"


def test_loans_with_three_columns_of_what_came_after_the_default(draft, tmp_path):
    path = tmp_path / "loans.csv"
    make_loans(path, rows=2000, leaks=True)
    contract, _ = draft(path, label="Ausfall", facets=["Geschlecht"])
    assert contract.text_columns == (
        "nettoeinkommen", "kreditbetrag", "mahnungen", "verwendung", "angaben_zur_person",
    )  # fmt: skip
    [note] = [note for note in draft.notes if "tells the label apart alone" in note]
    for leak in ("inkassostatus", "abgeschriebener_betrag", "ausfalldatum"):
        assert f"{leak} (AUC 1.000)" in note
