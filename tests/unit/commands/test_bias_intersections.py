"""`sashiko bias` on a file of a contract with two facets."""

import json

import pytest

from tests.unit.commands.test_bias import Desk, csv_text
from tests.unit.contract.documents import save, two_facets
from tests.unit.steps.crossed import FAIR_BY_FACET, OUTCOMES

WORDS = ("no", "yes")


@pytest.fixture
def desk(tmp_path) -> Desk:
    """The rows of which each facet alone looks fair."""
    desk = Desk(tmp_path)
    desk.contract = save(two_facets(), tmp_path)
    rows, told = [], []
    for (age, sex), counts in FAIR_BY_FACET.items():
        for (label, predicted), count in zip(OUTCOMES, counts, strict=True):
            for _ in range(count):
                rows.append((f"L{len(rows)}", age, sex, WORDS[label]))
                told.append((rows[-1][0], WORDS[predicted]))
    desk.write("data.csv", csv_text("loan_id,age,sex,late", rows))
    desk.write("told.csv", csv_text("loan_id,predicted_label", told))
    return desk


def test_the_worst_off_is_printed_first_with_size_and_interval(desk: Desk) -> None:
    result = desk.run("--predictions", desk.told)
    assert result.exit_code == 0
    said = result.stdout[
        result.stdout.index("intersections of the predictions, the worst off by DI") :
    ]
    lines = said.splitlines()
    assert lines[1] == "  the intervals of all 4 hold at once"
    assert lines[2] == "    age=old & sex=f, 100 rows"
    assert lines[3].startswith("      DI      0.333  [0.")
    assert "intersections of the labels, the worst off by DPL first" in result.stdout


def test_without_predictions_those_of_the_labels_are_printed(desk: Desk) -> None:
    said = desk.run().stdout
    assert "intersections of the labels" in said
    assert "of the predictions" not in said


def test_json_keeps_them_out_of_clarifys_part(desk: Desk) -> None:
    value = desk.json("--predictions", desk.told)
    intervals = value.pop("intervals")
    assert any(row["facet"] == ["age", "sex"] for row in intervals)
    assert "&" not in json.dumps(value)
    assert set(value["post_training_bias_metrics"]["facets"]) == {"age", "sex"}


def test_a_value_that_the_contract_does_not_know_is_a_group_of_its_own(desk: Desk) -> None:
    desk.data.write_text(desk.data.read_text().replace(",young,m,", ",ageless,m,"))
    rows = [row for row in desk.json()["intervals"] if row["metric"] == "DPL"]
    sizes = {tuple(row["group"]): row["n_disadvantaged"] for row in rows}
    assert sizes["not in the contract", "m"] == 100
    assert sizes["young", "m"] == 0


def test_a_row_without_a_facet_leaves_no_metric_that_compares(desk: Desk) -> None:
    desk.data.write_text(desk.data.read_text().replace(",young,m,", ",,m,", 1))
    rows = [row for row in desk.json()["intervals"] if row["facet"] == ["age", "sex"]]
    assert rows
    for row in rows:
        assert row["value"] is None
        assert "1 of 400 rows have no value of the facet" in row["error"]
