"""What `sashiko bias` refuses, and how it names it."""

from pathlib import Path

import pytest

from tests.unit.commands.bias_cli import PREDICTED, ROWS, BiasCli, csv_text, interval
from tests.unit.contract.documents import custom, document, save


@pytest.fixture
def cli(tmp_path: Path) -> BiasCli:
    return BiasCli(tmp_path)


@pytest.mark.parametrize(("codes", "options", "message"), [
    ({"yes": 1.2, "no": 0.5}, (), "has 60 values of 100 outside 0 to 1"),
    ({"yes": 0.5, "no": -1}, ("--probability-threshold", 0.5), "outside 0 to 1"),
    ({"yes": "yes", "no": "no"}, ("--probability-threshold", 0.5), "holds texts, not probab"),
])  # fmt: skip
def test_what_is_no_probability_is_refused(cli: BiasCli, codes, options, message: str) -> None:
    rows = [(key, codes[text]) for key, text in PREDICTED]
    predictions = cli.write("predictions.csv", csv_text("key,predicted", rows))
    assert message in cli.refused("--predictions", predictions, *options)


def test_a_contract_whose_guesses_nobody_read_is_refused(cli: BiasCli) -> None:
    cli.contract.write_text(cli.contract.read_text().replace("old\n", "old  # review: a guess\n"))
    assert "remove its `# review` comment" in cli.refused()


@pytest.mark.parametrize(("predictions", "message"), [
    ("loan_id,predicted_label\nL1,yes\nZ9,no\n", "1 of 2 keys, such as 'Z9', are not in"),
    ("loan_id,predicted_label\nL1,yes\nL1,no\n", "more than once, such as 'L1'"),
    ("loan_id,predicted_label\nL1,\n", "column `predicted_label` has empty values"),
    ("loan_id,predicted_label\nL1,nan\n", "column `predicted_label` has empty values"),
    ("loan_id,predicted_label\nL1,maybe\n", "'maybe', which is neither a label of the contr"),
    ("loan_id,predicted_label\nL1,1.5\n", "1 values of 1 outside 0 to 1"),
    ("loan_id,prediction\nL1,yes\n",
     "predictions.csv has no column `predicted_label` or `predicted`"),
    ("id,predicted_label\nL1,yes\n", "predictions.csv has no column `loan_id` or `key`"),
    ("", "predictions.csv is empty"),
])  # fmt: skip
def test_bad_predictions_are_named(cli: BiasCli, predictions: str, message: str) -> None:
    assert message in cli.refused("--predictions", cli.write("predictions.csv", predictions))


def test_what_tells_no_groups_is_never_fair(cli: BiasCli) -> None:
    one_group = cli.write(
        "one.csv", csv_text("loan_id,age,late", [(k, "old", c) for k, _, c in ROWS])
    )
    assert "the advantaged group has no rows" in interval(cli.json(data=one_group), "DPL")["error"]
    with_missing = cli.write(
        "some.csv", csv_text("loan_id,age,late", [("L0", "", "yes"), *ROWS[1:]])
    )
    error = interval(cli.json(data=with_missing), "DPL")["error"]
    assert "1 of 100 rows have no value of the facet" in error
    value = document()
    custom(value, "facets")["value"] = []
    save(value, cli.folder)
    assert "has no facets, so there is no group to compare" in cli.refused()
