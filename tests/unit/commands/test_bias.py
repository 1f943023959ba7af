import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from typer.testing import CliRunner, Result

from sashiko.cli import app
from sashiko.errors import InputError
from tests.unit.contract.documents import column_of, custom, document, grouped, save, table_of

# 100 loans: old readers are late 10 of 50 times, young ones 25 of 50.
ROWS = [
    (f"L{n}", "old" if n < 50 else "young", "yes" if n < 10 or n >= 75 else "no")
    for n in range(100)
]
TOLD = [(key, "yes" if n < 20 or n >= 60 else "no") for n, (key, _, _) in enumerate(ROWS)]
DI = (20 / 50) / (40 / 50)


def csv_text(header: str, rows: Sequence[Sequence[object]]) -> str:
    return "".join(",".join(str(cell) for cell in row) + "\n" for row in [header.split(","), *rows])


class Desk:
    """A folder with a contract and a file of its data."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.contract = save(document(), folder)
        self.data = self.write("data.csv", csv_text("loan_id,age,late", ROWS))
        self.told = self.write("told.csv", csv_text("loan_id,predicted_label", TOLD))

    def write(self, name: str, text: str) -> Path:
        path = self.folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    def double(self, *columns: str, branches: Sequence[str] = ("",)) -> None:
        """Writes the loans twice, so that each group has the 100 rows that an interval takes."""
        rows = [
            (f"{copy}{key}", *rest, branches[n % len(branches)])[: len(columns)]
            for copy in "AB"
            for n, (key, *rest) in enumerate(ROWS)
        ]
        predicted = [(f"{copy}{key}", label) for copy in "AB" for key, label in TOLD]
        self.write("data.csv", csv_text(",".join(columns), rows))
        self.write("told.csv", csv_text("loan_id,predicted_label", predicted))

    def run(self, *options: object, data: Path | None = None) -> Result:
        arguments = ["bias", str(data or self.data), "--contract", str(self.contract)]
        return CliRunner().invoke(app, [*arguments, *(str(option) for option in options)])

    def json(self, *options: object, data: Path | None = None) -> Any:
        result = self.run(*options, "--json", data=data)
        assert result.exit_code == 0, result.output or result.exception
        return json.loads(result.stdout)

    def refused(self, *options: object, data: Path | None = None) -> str:
        result = self.run(*options, data=data)
        assert isinstance(result.exception, InputError), result.output
        assert not result.stdout
        return str(result.exception)


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def found(value: Any, metric: str) -> dict[str, Any]:
    (one,) = [item for item in value["intervals"] if item["metric"] == metric]
    return one


def test_a_person_reads_values_intervals_and_group_sizes(desk: Desk) -> None:
    result = desk.run("--predictions", desk.told)
    assert result.exit_code == 0
    assert "age=old: 50 rows against 50 others" in result.stdout
    assert "too few to judge: 50 rows of age=old" in result.stdout
    (line,) = [line for line in result.stdout.splitlines() if line.split()[:1] == ["DI"]]
    assert line.split()[1] == "0.500"
    assert line.endswith("Disparate Impact (DI)")
    assert "CDDL  undefined: there is no group variable" in result.stdout
    assert "100 of the 100 rows" in result.stderr


def test_a_group_variable_of_the_contract_is_conditioned_on(desk: Desk) -> None:
    desk.contract = save(grouped(), desk.folder)
    desk.double("loan_id", "age", "late", "branch", branches=("north", "south", ""))
    value = desk.json("--predictions", desk.told)
    for name in ("CDDL", "CDDPL"):
        assert found(value, name)["low"] < found(value, name)["value"]
        assert found(value, name)["n_disadvantaged"] == 100


def test_a_group_too_small_to_judge_has_values_and_no_interval(desk: Desk) -> None:
    di = found(desk.json("--predictions", desk.told), "DI")
    assert di["value"] == pytest.approx(DI)
    assert di["low"] is di["high"] is None


def test_json_is_clarifys_analysis_with_intervals(desk: Desk) -> None:
    desk.double("loan_id", "age", "late")
    value = desk.json("--predictions", desk.told)
    stage = value["post_training_bias_metrics"]
    assert (stage["label"], stage["label_value_or_threshold"]) == ("late", "yes")
    metrics = {m["name"]: m["value"] for m in stage["facets"]["age"][0]["metrics"]}
    di = found(value, "DI")
    assert di["value"] == metrics["DI"] == pytest.approx(DI)
    assert di["low"] < DI < di["high"]
    assert (di["n_disadvantaged"], di["n_advantaged"]) == (100, 100)
    assert found(value, "DPL")["value"] == pytest.approx(25 / 50 - 10 / 50)
    assert "verdict" not in value


def test_without_predictions_the_labels_alone_are_judged(desk: Desk) -> None:
    value = desk.json()
    assert "post_training_bias_metrics" not in value
    assert found(value, "DPL")["value"] == pytest.approx(0.3)


def test_a_file_of_any_kind_says_the_same(desk: Desk) -> None:
    expected = desk.json("--predictions", desk.told)
    table = pa.table(dict(zip(("loan_id", "age", "late"), zip(*ROWS, strict=True), strict=True)))
    pq.write_table(table, desk.folder / "data.parquet")
    lines = "".join(json.dumps(row) + "\n" for row in table.to_pylist())
    told = "".join(json.dumps({"loan_id": key, "told": text}) + "\n" for key, text in TOLD)
    header, *rows = csv_text("late,loan_id,age", [(c, a, b) for a, b, c in ROWS]).splitlines(True)
    desk.write("parts/a.csv", header + "".join(rows[:30]))
    desk.write("parts/b.csv", "\ufeff" + (header + "".join(rows[30:])).replace("\n", "\r\n"))
    for name in ("data.parquet", "parts"):
        assert desk.json("--predictions", desk.told, data=desk.folder / name) == expected
    desk.write("data.jsonl", lines)
    in_lines = ("--predictions", desk.write("told.jsonl", told), "--predicted-label", "told")
    assert desk.json(*in_lines, data=desk.folder / "data.jsonl") == expected


@pytest.mark.parametrize(
    ("words", "options"),
    [
        pytest.param({"yes": 1, "no": 0}, (), id="coded"),
        pytest.param({"yes": 1.0, "no": 0.0}, (), id="coded as floats"),
        pytest.param({"yes": 0.51, "no": 0.5}, (), id="probabilities, by default above 0.5"),
        pytest.param(
            {"yes": 0.31, "no": 0.3}, ("--probability-threshold", 0.3), id="probabilities"
        ),
    ],
)
def test_predictions_may_be_codes_or_probabilities(desk: Desk, words, options) -> None:
    rows = [(key, words[text]) for key, text in TOLD]
    told = desk.write("told.csv", csv_text("key,predicted", rows))
    assert found(desk.json("--predictions", told, *options), "DI")["value"] == pytest.approx(DI)


def test_only_rows_with_a_prediction_are_analysed(desk: Desk) -> None:
    told = desk.write("told.csv", csv_text("loan_id,predicted_label", TOLD[::-1][:60]))
    result = desk.run("--predictions", told)
    assert "60 of the 100 rows" in result.stderr
    assert "age=old: 10 rows against 50 others" in result.stdout


def test_a_runs_own_file_counts_by_its_test_split(desk: Desk) -> None:
    def write(labels: Sequence[str]) -> Path:
        rows = [(k, "test", int(t == "yes"), 0.5, int(p == "yes"))
                for (k, p), t in zip(TOLD, labels, strict=True)]  # fmt: skip
        rows += [("V1", "validation", 1, 0.5, 1)]
        columns = dict(
            zip(
                ("key", "split", "label", "score", "predicted"), zip(*rows, strict=True),
                strict=True,
            )
        )  # fmt: skip
        pq.write_table(pa.table(columns), desk.folder / "predictions.parquet")
        return desk.folder / "predictions.parquet"

    told = write([label for _, _, label in ROWS])
    assert found(desk.json("--predictions", told), "DI")["value"] == pytest.approx(DI)
    told = write(["no"] * 100)
    message = desk.refused("--predictions", told)
    assert "35 labels of 100 differ from column `late`" in message


def test_where_0_is_the_positive_label_a_probability_is_still_of_the_positive_one(
    desk: Desk,
) -> None:
    text = desk.contract.read_text().replace("'yes'", "'0'").replace("'no'", "'1'")
    desk.contract.write_text(text)
    words = {"yes": "0", "no": "1"}
    rows = [(key, age, words[label]) for key, age, label in ROWS]
    desk.write("data.csv", csv_text("loan_id,age,late", rows))
    for column in (words, {"yes": 0.9, "no": 0.2}):
        told = [(key, column[label]) for key, label in TOLD]
        file = desk.write("told.csv", csv_text("loan_id,predicted_label", told))
        assert found(desk.json("--predictions", file), "DI")["value"] == pytest.approx(DI)


def recipe(desk: Desk, **bias: Any) -> Path:
    """A shipped recipe, with the contract of loans and other bias gates."""
    value = yaml.safe_load(Path("recipes/complaints.yaml").read_text(encoding="utf-8"))
    value["contract"] = str(desk.contract)
    value["extends"] = str((Path("recipes") / value["extends"]).resolve())
    value["text"]["template"] = "{title}"
    value["bias"] = bias
    value["reweighing"] = {"facets": ["age"], "strength": 0.5}
    path = desk.folder / "loans.yaml"
    path.write_text(yaml.safe_dump(value), encoding="utf-8")
    return path


def test_a_recipes_gates_give_the_verdict_and_the_exit_status(desk: Desk) -> None:
    gate = {"metric": "DI", "facet": "age", "reason": "four fifths"}
    loose = recipe(desk, gates=[gate | {"minimum": 0.4}], minimum_group_size=10)
    passed = desk.run("--predictions", desk.told, "--recipe", loose)
    assert passed.exit_code == 0, passed.exception
    assert "\nbias: 1 check passed; by the value alone, as the interval spans" in passed.stdout
    strict = recipe(desk, gates=[gate | {"minimum": 0.8}], minimum_group_size=10)
    blocked = desk.run("--predictions", desk.told, "--recipe", strict)
    assert blocked.exit_code == 3
    assert "DI age=old = 0.5 [" in blocked.stdout
    told = desk.run("--predictions", desk.told, "--recipe", strict, "--json")
    assert told.exit_code == 3
    verdict = json.loads(told.stdout)["verdict"]
    assert not verdict["passed"]
    assert set(verdict["inputs"]) == {"data", "predictions"}
    too_few = recipe(desk, gates=[gate | {"minimum": 0.4}])
    assert desk.run("--predictions", desk.told, "--recipe", too_few).exit_code == 3
    other = yaml.safe_load(desk.contract.read_text().replace(": age", ": band"))
    (desk.folder / "other").mkdir()
    save(other, desk.folder / "other")
    desk.contract = desk.folder / "other/contract.odcs.yaml"
    desk.write("data.csv", desk.data.read_text().replace("age", "band"))
    assert "`age` is not a facet of the contract, whose facets are band" in desk.refused(
        "--predictions", desk.told, "--recipe", strict
    )
    assert "give --predictions too" in desk.refused("--recipe", loose)


def test_a_key_that_is_the_rows_number_is_counted_or_read(desk: Desk) -> None:
    value = document()
    rule = {"property": "ingest", "value": {"row_number": "loan_id"}}
    table_of(value)["customProperties"].append(rule)
    column_of(value, "loan_id")["logicalType"] = "integer"
    save(value, desk.folder)
    told = csv_text("loan_id,predicted_label", [(n, text) for n, (_, text) in enumerate(TOLD)])
    options = ("--predictions", desk.write("told.csv", told))
    counted = desk.write("counted.csv", csv_text("age,late", [row[1:] for row in ROWS]))
    expected = desk.json(*options, data=counted)
    assert found(expected, "DI")["value"] == pytest.approx(DI)
    rows = [(n, *row[1:]) for n, row in enumerate(ROWS)]
    own = desk.write("own.csv", csv_text("loan_id,age,late", rows[::-1]))
    assert desk.json(*options, data=own) == expected


def test_a_contract_whose_guesses_nobody_read_is_refused(desk: Desk) -> None:
    desk.contract.write_text(desk.contract.read_text().replace("old\n", "old  # review: a guess\n"))
    assert "remove its `# review` comment" in desk.refused()


@pytest.mark.parametrize(
    ("told", "message"),
    [
        ("loan_id,predicted_label\nL1,yes\nZ9,no\n", "1 of 2 keys, such as 'Z9', are not in"),
        ("loan_id,predicted_label\nL1,yes\nL1,no\n", "more than once, such as 'L1'"),
        ("loan_id,predicted_label\nL1,\n", "column `predicted_label` has empty values"),
        ("loan_id,predicted_label\nL1,nan\n", "column `predicted_label` has empty values"),
        ("loan_id,predicted_label\nL1,maybe\n", "'maybe', which is neither a label of the contr"),
        ("loan_id,predicted_label\nL1,1.5\n", "1 values of 1 outside 0 to 1"),
        ("loan_id,told\nL1,yes\n", "told.csv has no column `predicted_label` or `predicted`"),
        ("id,predicted_label\nL1,yes\n", "told.csv has no column `loan_id` or `key`"),
        ("", "told.csv is empty"),
    ],
)
def test_bad_predictions_are_named(desk: Desk, told: str, message: str) -> None:
    assert message in desk.refused("--predictions", desk.write("told.csv", told))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("loan_id,age,late\nL1,old,perhaps\nL2,old,yes\n", "1 labels of 2, such as 'perhaps', tha"),
        ("loan_id,age,late\nL1,old,\n", "1 labels of 1, such as None"),
        ("loan_id,age\nL1,old\n", "column `late` is missing"),
        ("loan_id,age,late\nL1,old,no\n", "no row of column `late` has yes"),
        ("", "data.csv is empty"),
    ],
)
def test_bad_data_are_named(desk: Desk, data: str, message: str) -> None:
    assert message in desk.refused(data=desk.write("data.csv", data))


def test_what_tells_no_groups_is_never_fair(desk: Desk) -> None:
    one = desk.write("one.csv", csv_text("loan_id,age,late", [(k, "old", c) for k, _, c in ROWS]))
    assert "the advantaged group has no rows" in found(desk.json(data=one), "DPL")["error"]
    some = desk.write("some.csv", csv_text("loan_id,age,late", [("L0", "", "yes"), *ROWS[1:]]))
    error = found(desk.json(data=some), "DPL")["error"]
    assert "1 of 100 rows have no value of the facet" in error
    value = document()
    custom(value, "facets")["value"] = []
    save(value, desk.folder)
    assert "has no facets, so there is no group to compare" in desk.refused()


def test_files_that_are_not_there_or_of_no_known_kind_are_named(desk: Desk) -> None:
    assert "does not exist" in desk.refused(data=desk.folder / "no.csv")
    assert "expected a file that ends in" in desk.refused(data=desk.write("a.txt", "x"))
    (desk.folder / "empty").mkdir()
    assert "has no file; give CSV, Parquet or JSON Lines" in desk.refused(
        data=desk.folder / "empty"
    )
    assert "line 1: expected a record" in desk.refused(data=desk.write("a.jsonl", "[1]\n"))
    desk.contract = desk.folder / "nothing.yaml"
    assert "nothing.yaml does not exist" in desk.refused()
