"""`sashiko bias` on a file of a contract with two facets."""

import json

import pytest

from tests.unit.bias.steps.bias_folders import FAIR_BY_FACET, OUTCOMES
from tests.unit.commands.bias_cli import BiasCli, csv_text
from tests.unit.contract.documents import save, two_facets

WORDS = ("no", "yes")


@pytest.fixture
def cli(tmp_path) -> BiasCli:
    """The rows of which each facet alone looks fair."""
    cli = BiasCli(tmp_path)
    cli.contract = save(two_facets(), tmp_path)
    rows, predictions = [], []
    for (age, sex), counts in FAIR_BY_FACET.items():
        for (label, predicted), count in zip(OUTCOMES, counts, strict=True):
            for _ in range(count):
                rows.append((f"L{len(rows)}", age, sex, WORDS[label]))
                predictions.append((rows[-1][0], WORDS[predicted]))
    cli.write("data.csv", csv_text("loan_id,age,sex,late", rows))
    cli.write("predictions.csv", csv_text("loan_id,predicted_label", predictions))
    return cli


def test_the_worst_off_is_printed_first_with_size_and_interval(cli: BiasCli) -> None:
    result = cli.run("--predictions", cli.predictions)
    assert result.exit_code == 0
    section = result.stdout[
        result.stdout.index("intersections of the predictions, the worst off by DI") :
    ]
    lines = section.splitlines()
    assert lines[1] == "  the intervals of all 4 hold at once"
    assert lines[2] == "    age=old & sex=f, 100 rows"
    assert lines[3].startswith("      DI      0.333  [0.")
    assert "intersections of the labels, the worst off by DPL first" in result.stdout


def test_without_predictions_those_of_the_labels_are_printed(cli: BiasCli) -> None:
    output = cli.run().stdout
    assert "intersections of the labels" in output
    assert "of the predictions" not in output


def test_json_keeps_them_out_of_clarifys_part(cli: BiasCli) -> None:
    value = cli.json("--predictions", cli.predictions)
    intervals = value.pop("intervals")
    assert any(row["facet"] == ["age", "sex"] for row in intervals)
    assert "&" not in json.dumps(value)
    assert set(value["post_training_bias_metrics"]["facets"]) == {"age", "sex"}


def test_a_value_that_the_contract_does_not_know_is_a_group_of_its_own(cli: BiasCli) -> None:
    cli.data.write_text(cli.data.read_text().replace(",young,m,", ",ageless,m,"))
    rows = [row for row in cli.json()["intervals"] if row["metric"] == "DPL"]
    sizes = {tuple(row["group"]): row["n_disadvantaged"] for row in rows}
    assert sizes["not in the contract", "m"] == 100
    assert sizes["young", "m"] == 0


def test_a_row_without_a_facet_leaves_no_metric_that_compares(cli: BiasCli) -> None:
    cli.data.write_text(cli.data.read_text().replace(",young,m,", ",,m,", 1))
    rows = [row for row in cli.json()["intervals"] if row["facet"] == ["age", "sex"]]
    assert rows
    for row in rows:
        assert row["value"] is None
        assert "1 of 400 rows have no value of the facet" in row["error"]
