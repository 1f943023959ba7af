"""What `sashiko bias` says of files that it can judge."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from tests.unit.commands.bias_cli import DI, PREDICTED, ROWS, BiasCli, csv_text, interval
from tests.unit.contract.documents import column_of, document, grouped, save, table_of


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
    cli.contract = save(grouped(), cli.folder)
    cli.double("loan_id", "age", "late", "branch", branches=("north", "south", ""))
    value = cli.json("--predictions", cli.predictions)
    for name in ("CDDL", "CDDPL"):
        assert interval(value, name)["low"] < interval(value, name)["value"]
        assert interval(value, name)["n_disadvantaged"] == 100


def test_a_group_too_small_to_judge_has_values_and_no_interval(cli: BiasCli) -> None:
    di = interval(cli.json("--predictions", cli.predictions), "DI")
    assert di["value"] == pytest.approx(DI)
    assert di["low"] is di["high"] is None


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


def test_without_predictions_the_labels_alone_are_judged(cli: BiasCli) -> None:
    value = cli.json()
    assert "post_training_bias_metrics" not in value
    assert interval(value, "DPL")["value"] == pytest.approx(0.3)


def test_a_file_of_any_kind_says_the_same(cli: BiasCli) -> None:
    expected = cli.json("--predictions", cli.predictions)
    table = pa.table(dict(zip(("loan_id", "age", "late"), zip(*ROWS, strict=True), strict=True)))
    pq.write_table(table, cli.folder / "data.parquet")
    lines = "".join(json.dumps(row) + "\n" for row in table.to_pylist())
    predicted = "".join(
        json.dumps({"loan_id": key, "prediction": text}) + "\n" for key, text in PREDICTED
    )
    header, *rows = csv_text("late,loan_id,age", [(c, a, b) for a, b, c in ROWS]).splitlines(True)
    cli.write("parts/a.csv", header + "".join(rows[:30]))
    cli.write("parts/b.csv", "\ufeff" + (header + "".join(rows[30:])).replace("\n", "\r\n"))
    for name in ("data.parquet", "parts"):
        assert cli.json("--predictions", cli.predictions, data=cli.folder / name) == expected
    cli.write("data.jsonl", lines)
    file = cli.write("predictions.jsonl", predicted)
    in_lines = ("--predictions", file, "--predicted-label", "prediction")
    assert cli.json(*in_lines, data=cli.folder / "data.jsonl") == expected


@pytest.mark.parametrize(("codes", "options"), [
    pytest.param({"yes": 1, "no": 0}, (), id="coded"),
    pytest.param({"yes": 1.0, "no": 0.0}, (), id="coded as floats"),
    pytest.param({"yes": 0.51, "no": 0.5}, (), id="probabilities, by default above 0.5"),
    pytest.param({"yes": 0.31, "no": 0.3}, ("--probability-threshold", 0.3), id="probabilities"),
])  # fmt: skip
def test_predictions_may_be_codes_or_probabilities(cli: BiasCli, codes, options) -> None:
    rows = [(key, codes[text]) for key, text in PREDICTED]
    predictions = cli.write("predictions.csv", csv_text("key,predicted", rows))
    assert interval(cli.json("--predictions", predictions, *options), "DI")[
        "value"
    ] == pytest.approx(DI)


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


def test_where_0_is_the_positive_label_a_probability_is_still_of_the_positive_one(
    cli: BiasCli,
) -> None:
    text = cli.contract.read_text().replace("'yes'", "'0'").replace("'no'", "'1'")
    cli.contract.write_text(text)
    codes = {"yes": "0", "no": "1"}
    rows = [(key, age, codes[label]) for key, age, label in ROWS]
    cli.write("data.csv", csv_text("loan_id,age,late", rows))
    for column in (codes, {"yes": 0.9, "no": 0.2}):
        predictions = [(key, column[label]) for key, label in PREDICTED]
        file = cli.write("predictions.csv", csv_text("loan_id,predicted_label", predictions))
        assert interval(cli.json("--predictions", file), "DI")["value"] == pytest.approx(DI)


def recipe(cli: BiasCli, **bias: Any) -> Path:
    """A shipped recipe, with the contract of loans and other bias gates."""
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
    assert "\nbias: 1 check passed; by the value alone, as the interval spans" in passed.stdout
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
    save(other, cli.folder / "other")
    cli.contract = cli.folder / "other/contract.odcs.yaml"
    cli.write("data.csv", cli.data.read_text().replace("age", "band"))
    assert "`age` is not a facet of the contract, whose facets are band" in cli.refused(
        "--predictions", cli.predictions, "--recipe", strict
    )
    assert "add --predictions" in cli.refused("--recipe", loose)


def test_a_key_that_is_the_rows_number_is_counted_or_read(cli: BiasCli) -> None:
    value = document()
    rule = {"property": "ingest", "value": {"row_number": "loan_id"}}
    table_of(value)["customProperties"].append(rule)
    column_of(value, "loan_id")["logicalType"] = "integer"
    save(value, cli.folder)
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
