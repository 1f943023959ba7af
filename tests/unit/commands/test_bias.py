"""What `sashiko data bias` says of files that it can judge."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from tests.unit.bias.steps.bias_folders import FAIR_BY_FACET, OUTCOMES
from tests.unit.commands.bias_cli import DI, PREDICTED, ROWS, BiasCli, csv_text, interval
from tests.unit.contract import documents


@pytest.fixture
def cli(tmp_path: Path) -> BiasCli:
    return BiasCli(tmp_path)


def test_a_person_reads_values_intervals_and_group_sizes(cli: BiasCli) -> None:
    result = cli.run("--predictions", cli.predictions)
    assert result.exit_code == 0
    assert "age=old: 50 rows against 50 others" in result.stdout
    assert "too few to judge: 50 rows of age=old" in result.stdout
    (line,) = [line for line in result.stdout.splitlines() if line.split()[:1] == ["DI"]]
    assert line.split()[1] == "0.500"
    assert line.endswith("Disparate Impact (DI)")
    assert "CDDL  undefined: there is no group variable" in result.stdout
    assert "100 of the 100 rows" in result.stderr


def test_a_group_variable_of_the_contract_is_conditioned_on(cli: BiasCli) -> None:
    cli.contract = documents.save(documents.grouped(), cli.folder)
    cli.double("loan_id", "age", "late", "branch", branches=("north", "south", ""))
    value = cli.json("--predictions", cli.predictions)
    for name in ("CDDL", "CDDPL"):
        assert interval(value, name)["low"] < interval(value, name)["value"]
        assert interval(value, name)["n_disadvantaged"] == 100


def test_json_is_clarifys_analysis_with_intervals(cli: BiasCli) -> None:
    cli.double("loan_id", "age", "late")
    value = cli.json("--predictions", cli.predictions)
    stage = value["post_training_bias_metrics"]
    assert (stage["label"], stage["label_value_or_threshold"]) == ("late", "yes")
    metrics = {m["name"]: m["value"] for m in stage["facets"]["age"][0]["metrics"]}
    di = interval(value, "DI")
    assert di["value"] == metrics["DI"] == pytest.approx(DI)
    assert di["low"] < DI < di["high"]
    assert (di["n_disadvantaged"], di["n_advantaged"]) == (100, 100)
    assert interval(value, "DPL")["value"] == pytest.approx(25 / 50 - 10 / 50)
    assert "verdict" not in value
    assert "post_training_bias_metrics" not in cli.json()


def test_a_file_of_any_kind_says_the_same(cli: BiasCli) -> None:
    expected = cli.json("--predictions", cli.predictions)
    di = interval(expected, "DI")  # of groups that are too small to judge
    assert di["value"] == pytest.approx(DI)
    assert di["low"] is di["high"] is None
    table = pa.table(dict(zip(("loan_id", "age", "late"), zip(*ROWS, strict=True), strict=True)))
    pq.write_table(table, cli.folder / "data.parquet")
    header, *rows = csv_text("late,loan_id,age", [(c, a, b) for a, b, c in ROWS]).splitlines(True)
    cli.write("parts/a.csv", header + "".join(rows[:30]))
    cli.write("parts/b.csv", "\ufeff" + (header + "".join(rows[30:])).replace("\n", "\r\n"))
    for name in ("data.parquet", "parts"):
        assert cli.json("--predictions", cli.predictions, data=cli.folder / name) == expected
    own_name = cli.write("own.csv", csv_text("loan_id,prediction", PREDICTED))
    assert cli.json("--predictions", own_name, "--predicted-label", "prediction") == expected


@pytest.mark.parametrize("codes", [{"yes": 1, "no": 0}, {"yes": 1.0, "no": 0.0}])
def test_predictions_may_be_codes(cli: BiasCli, codes) -> None:
    rows = [(key, codes[text]) for key, text in PREDICTED]
    predictions = cli.write("predictions.csv", csv_text("key,predicted", rows))
    assert interval(cli.json("--predictions", predictions), "DI")["value"] == pytest.approx(DI)


def test_only_rows_with_a_prediction_are_analysed(cli: BiasCli) -> None:
    predictions = cli.write(
        "predictions.csv", csv_text("loan_id,predicted_label", PREDICTED[::-1][:60])
    )
    result = cli.run("--predictions", predictions)
    assert "60 of the 100 rows" in result.stderr
    assert "age=old: 10 rows against 50 others" in result.stdout


def test_a_runs_own_file_counts_by_its_test_split(cli: BiasCli) -> None:
    def write(labels: Sequence[str]) -> Path:
        rows = [(k, "test", int(t == "yes"), 0.5, int(p == "yes"))
                for (k, p), t in zip(PREDICTED, labels, strict=True)]  # fmt: skip
        rows += [("V1", "validation", 1, 0.5, 1)]
        columns = dict(
            zip(
                ("key", "split", "label", "score", "predicted"), zip(*rows, strict=True),
                strict=True,
            )
        )  # fmt: skip
        pq.write_table(pa.table(columns), cli.folder / "predictions.parquet")
        return cli.folder / "predictions.parquet"

    predictions = write([label for _, _, label in ROWS])
    assert interval(cli.json("--predictions", predictions), "DI")["value"] == pytest.approx(DI)
    predictions = write(["no"] * 100)
    message = cli.refused("--predictions", predictions)
    assert "35 labels of 100 differ from column `late`" in message


def test_of_three_classes_the_favourable_ones_count_by_name_or_as_a_run_codes_them(
    cli: BiasCli,
) -> None:
    document = documents.document()
    names = ("lost", "yes", "soon")
    documents.column_of(document, "late")["enum"] = [{"value": name} for name in names]
    value = {"column": "late", "favourable": ["soon", "yes"]}
    documents.custom(document, "label")["value"] = value
    documents.save(document, cli.folder)

    def three(rows: Sequence[Sequence[str]]) -> list[list[str]]:
        changed = {"yes": ("yes", "soon"), "no": ("lost", "lost")}
        return [[*row, changed[last][n % 2]] for n, (*row, last) in enumerate(rows)]

    data, predicted = three(ROWS), three(PREDICTED)
    cli.write("data.csv", csv_text("loan_id,age,late", data))
    named = cli.write("predictions.csv", csv_text("loan_id,predicted_label", predicted))
    assert interval(cli.json("--predictions", named), "DI")["value"] == pytest.approx(DI)
    text = cli.run("--predictions", named).stdout
    for name in names:  # each class against the others
        old, young = (
            sum(label == name for (_, label), (_, age, *_) in zip(predicted, data, strict=True)
                if age == group)
            for group in ("old", "young")
        )  # fmt: skip
        _, found, part = text.partition(f"predicted '{name}', against all other classes\n")
        assert found and f"DI    {old / young:>7.3f}" in part.partition("predicted")[0]
    coded = {
        "key": [key for key, _ in predicted], "split": ["test"] * 100, "score": [0.5] * 100,
        "label": [names.index(label) for _, _, label in data],
        "predicted": [names.index(label) for _, label in predicted],
    }  # fmt: skip
    pq.write_table(pa.table(coded), cli.folder / "predictions.parquet")
    value = cli.json("--predictions", cli.folder / "predictions.parquet")
    assert interval(value, "DI")["value"] == pytest.approx(DI)
    wrong = cli.write("predictions.csv", csv_text("loan_id,predicted_label", [("L1", "1")]))
    assert "'1', which is no label of the contract (lost, yes, soon)" in cli.refused(
        "--predictions", wrong
    )


def test_a_number_counts_by_the_side_of_the_bound_it_is_on(cli: BiasCli) -> None:
    documents.save(documents.number(above=4), cli.folder)
    prices, predicted = {"yes": 5, "no": 4.0}, {"yes": 4.01, "no": -1}
    data = [(key, age, prices[late]) for key, age, late in ROWS]
    cli.write("data.csv", csv_text("loan_id,age,price", data))
    numbers = [(key, predicted[late]) for key, late in PREDICTED]
    file = cli.write("predictions.csv", csv_text("loan_id,foreseen", numbers))
    options = ("--predictions", file, "--predicted-label", "foreseen")
    assert interval(cli.json(*options), "DI")["value"] == pytest.approx(DI)
    assert interval(cli.json(), "DPL")["value"] == pytest.approx(25 / 50 - 10 / 50)
    cli.write("predictions.csv", csv_text("loan_id,foreseen", PREDICTED))
    assert "column `foreseen` holds texts" in cli.refused(*options)
    of_a_run = {
        "key": [key for key, _, _ in ROWS], "split": ["test"] * 100,
        "label": [int(late == "yes") for _, _, late in ROWS], "value": [p for _, _, p in data],
        "predicted": [int(late == "yes") for _, late in PREDICTED],
    }  # fmt: skip
    pq.write_table(pa.table(of_a_run), cli.folder / "predictions.parquet")
    value = cli.json("--predictions", cli.folder / "predictions.parquet")
    assert interval(value, "DI")["value"] == pytest.approx(DI)


def test_the_positive_label_may_be_0(cli: BiasCli):
    text = cli.contract.read_text().replace("'yes'", "'0'").replace("'no'", "'1'")
    cli.contract.write_text(text)
    codes = {"yes": "0", "no": "1"}
    rows = [(key, age, codes[label]) for key, age, label in ROWS]
    cli.write("data.csv", csv_text("loan_id,age,late", rows))
    predictions = [(key, codes[label]) for key, label in PREDICTED]
    file = cli.write("predictions.csv", csv_text("loan_id,predicted_label", predictions))
    assert interval(cli.json("--predictions", file), "DI")["value"] == pytest.approx(DI)


def recipe(cli: BiasCli, **bias: Any) -> Path:
    value = yaml.safe_load(Path("recipes/complaints.yaml").read_text(encoding="utf-8"))
    value["contract"] = str(cli.contract)
    value["extends"] = str((Path("recipes") / value["extends"]).resolve())
    value["text"]["template"] = "{title}"
    value["bias"] = bias
    value["reweighing"] = {"facets": ["age"], "strength": 0.5}
    path = cli.folder / "loans.yaml"
    path.write_text(yaml.safe_dump(value), encoding="utf-8")
    return path


def test_a_recipes_gates_give_the_verdict_and_the_exit_status(cli: BiasCli) -> None:
    gate = {"metric": "DI", "facet": "age", "reason": "four fifths"}
    loose = recipe(cli, gates=[gate | {"minimum": 0.4}], minimum_group_size=10)
    passed = cli.run("--predictions", cli.predictions, "--recipe", loose)
    assert passed.exit_code == 0, passed.exception
    assert "\nbias: 1 check passed; passed, but the interval spans" in passed.stdout
    strict = recipe(cli, gates=[gate | {"minimum": 0.8}], minimum_group_size=10)
    blocked = cli.run("--predictions", cli.predictions, "--recipe", strict)
    assert blocked.exit_code == 3
    assert "DI age=old = 0.5 [" in blocked.stdout
    result = cli.run("--predictions", cli.predictions, "--recipe", strict, "--json")
    assert result.exit_code == 3
    verdict = json.loads(result.stdout)["verdict"]
    assert not verdict["passed"]
    assert set(verdict["inputs"]) == {"data", "predictions"}
    too_few = recipe(cli, gates=[gate | {"minimum": 0.4}])
    assert cli.run("--predictions", cli.predictions, "--recipe", too_few).exit_code == 3
    other = yaml.safe_load(cli.contract.read_text().replace(": age", ": band"))
    (cli.folder / "other").mkdir()
    documents.save(other, cli.folder / "other")
    cli.contract = cli.folder / "other/contract.odcs.yaml"
    cli.write("data.csv", cli.data.read_text().replace("age", "band"))
    assert "`age` is not a facet of the contract, whose facets are band" in cli.refused(
        "--predictions", cli.predictions, "--recipe", strict
    )
    assert "add --predictions" in cli.refused("--recipe", loose)


def test_a_key_that_is_the_rows_number_is_counted_or_read(cli: BiasCli) -> None:
    value = documents.document()
    rule = {"property": "ingest", "value": {"row_number": "loan_id"}}
    documents.table_of(value)["customProperties"].append(rule)
    documents.column_of(value, "loan_id")["logicalType"] = "integer"
    documents.save(value, cli.folder)
    predictions = csv_text(
        "loan_id,predicted_label", [(n, text) for n, (_, text) in enumerate(PREDICTED)]
    )
    options = ("--predictions", cli.write("predictions.csv", predictions))
    unkeyed = cli.write("counted.csv", csv_text("age,late", [row[1:] for row in ROWS]))
    expected = cli.json(*options, data=unkeyed)
    assert interval(expected, "DI")["value"] == pytest.approx(DI)
    rows = [(n, *row[1:]) for n, row in enumerate(ROWS)]
    keyed = cli.write("own.csv", csv_text("loan_id,age,late", rows[::-1]))
    assert cli.json(*options, data=keyed) == expected


WORDS = ("no", "yes")


@pytest.fixture
def two_facets_cli(tmp_path) -> BiasCli:
    """The rows of which each facet alone looks fair."""
    cli = BiasCli(tmp_path)
    cli.contract = documents.save(documents.two_facets(), tmp_path)
    rows, predictions = [], []
    for (age, sex), counts in FAIR_BY_FACET.items():
        for (label, predicted), count in zip(OUTCOMES, counts, strict=True):
            for _ in range(count):
                rows.append((f"L{len(rows)}", age, sex, WORDS[label]))
                predictions.append((rows[-1][0], WORDS[predicted]))
    cli.write("data.csv", csv_text("loan_id,age,sex,late", rows))
    cli.write("predictions.csv", csv_text("loan_id,predicted_label", predictions))
    return cli


def test_the_worst_off_is_printed_first_with_size_and_interval_and_json_has_it_apart(
    two_facets_cli: BiasCli,
) -> None:
    result = two_facets_cli.run("--predictions", two_facets_cli.predictions)
    assert result.exit_code == 0
    section = result.stdout[
        result.stdout.index("intersections of the predictions, the worst off by DI") :
    ]
    lines = section.splitlines()
    assert lines[1] == "  the intervals of all 4 hold at once"
    assert lines[2] == "    age=old & sex=f, 100 rows"
    assert lines[3].startswith("      DI      0.333  [0.")
    assert "intersections of the labels, the worst off by DPL first" in result.stdout

    output = two_facets_cli.run().stdout
    assert "intersections of the labels" in output
    assert "of the predictions" not in output

    value = two_facets_cli.json("--predictions", two_facets_cli.predictions)
    intervals = value.pop("intervals")
    assert any(row["facet"] == ["age", "sex"] for row in intervals)
    assert "&" not in json.dumps(value)
    assert set(value["post_training_bias_metrics"]["facets"]) == {"age", "sex"}


def test_a_value_that_the_contract_does_not_know_is_a_group_of_its_own(two_facets_cli: BiasCli):
    two_facets_cli.data.write_text(
        two_facets_cli.data.read_text().replace(",young,m,", ",ageless,m,")
    )
    rows = [row for row in two_facets_cli.json()["intervals"] if row["metric"] == "DPL"]
    sizes = {tuple(row["group"]): row["n_disadvantaged"] for row in rows}
    assert sizes["not in the contract", "m"] == 100
    assert sizes["young", "m"] == 0


def test_a_row_without_a_facet_leaves_no_metric_that_compares(two_facets_cli: BiasCli) -> None:
    two_facets_cli.data.write_text(two_facets_cli.data.read_text().replace(",young,m,", ",,m,", 1))
    rows = [row for row in two_facets_cli.json()["intervals"] if row["facet"] == ["age", "sex"]]
    assert rows
    for row in rows:
        assert row["value"] is None
        assert "1 of 400 rows have no value of the facet" in row["error"]


def test_a_contract_whose_guesses_nobody_read_is_refused(cli: BiasCli) -> None:
    cli.contract.write_text(cli.contract.read_text().replace("old\n", "old  # review: a guess\n"))
    assert "remove its `# review` comment" in cli.refused()


@pytest.mark.parametrize(("predictions", "message"), [
    ("loan_id,predicted_label\nL1,yes\nZ9,no\n", "1 of 2 keys, such as 'Z9', are not in"),
    ("loan_id,predicted_label\nL1,yes\nL1,no\n", "more than once, such as 'L1'"),
    ("loan_id,predicted_label\nL1,\n", "column `predicted_label` has empty values"),
    ("loan_id,predicted_label\nL1,nan\n", "column `predicted_label` has empty values"),
    ("loan_id,predicted_label\nL1,maybe\n", "'maybe', which is no label of the contract (no"),
    ("loan_id,predicted_label\nL1,0.5\n", "give those above your threshold as 1"),
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
    value = documents.document()
    documents.custom(value, "facets")["value"] = []
    documents.save(value, cli.folder)
    assert "has no facets, so there is no group to compare" in cli.refused()
