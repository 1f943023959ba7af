"""The bias steps on a label that is a number, against computations row by row."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from scipy.stats import norm

from sashiko.bias.clarify.contract_config import analysis_config
from sashiko.bias.gates.estimates import BiasEstimate, read_estimates
from sashiko.bias.metrics.number_bias import NUMBER_METRICS, PredictedNumbers
from sashiko.bias.steps import bias_input, judge_bias
from sashiko.contract.load import load_contract
from sashiko.errors import InputError
from sashiko.evaluation.gates.verdict import Verdict, read_verdict
from tests.unit.bias.steps.bias_folders import Job, analysis_of, prediction_rows
from tests.unit.bias.steps.test_classes import by_rows
from tests.unit.contract.documents import number

ABOVE = 12.5
IMPACT = {"metric": "DI", "facet": "age", "minimum": 0.8, "maximum": 1.25, "reason": "4 / 5"}
WIDTH = 4.0


def loans(rows: int = 900, seed: int = 3) -> pd.DataFrame:
    """Prices of loans, which are lower and predicted too low for old readers."""
    generator = np.random.default_rng(seed)
    age = generator.choice(["old", "young"], rows, p=[0.4, 0.6])
    value = np.round(generator.normal(np.where(age == "old", 11, 14), 4), 2)
    predicted = value + generator.normal(np.where(age == "old", -2, 0.5), 2)
    value[0], predicted[0] = 9.0, 9.0 + WIDTH  # at the very end of the interval
    return pd.DataFrame({"age": age, "value": value, "predicted": predicted})


def keys(rows: pd.DataFrame) -> list[str]:
    return [f"k{number:03}" for number in range(len(rows))]


def facets(rows: pd.DataFrame) -> pa.Table:
    columns = {"loan_id": keys(rows), "age": list(rows["age"]), "price": list(rows["value"])}
    return pa.table(columns)


def write_csv(job: Job) -> str:
    rows = loans()
    outcomes = [[int(value > ABOVE) for value in rows[name]] for name in ("value", "predicted")]
    table = prediction_rows(keys(rows), *outcomes)
    table = table.set_column(3, "score", pa.array(rows["predicted"]))
    table = table.append_column("value", pa.array(rows["value"]))
    job.contract(number(above=ABOVE))
    job.parquet("facets", facets(rows))
    table = table.append_column("half_width", pa.array([WIDTH] * len(rows)))
    job.parquet("predictions", table, file="predictions.parquet")
    job.run(bias_input)
    return (job.output("data") / "data.csv").read_text(encoding="utf-8")


Judge = Callable[..., Verdict]


@pytest.fixture
def judge(job: Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Judge:
    """Runs BiasInput, the two analyses and JudgeBias on the loans."""

    def run(*gates: Any, **section: Any) -> Verdict:
        csv = write_csv(job)
        for name, data in (("pre-analysis", facets(loans())), ("post-analysis", csv)):
            analysis = analysis_of(tmp_path / name, monkeypatch, data, number(above=ABOVE))
            job.text(name, json.dumps(analysis), file="analysis.json")
        job.text("data", csv)
        job.section("bias", {"gates": list(gates), **section})
        job.section("reweighing", {"facets": ["age"], "strength": 1})
        job.section("evaluate", {})
        job.run(judge_bias)
        return read_verdict(job.output("verdict"))

    return run


def test_the_csv_has_outcomes_values_and_coverage_of_its_own_snapshot(job: Job) -> None:
    write_csv(job)
    table, rows = pd.read_csv(job.output("data") / "data.csv"), loans()
    assert list(table.columns) == [
        "label", "predicted_label", "label_value", "predicted_value", "covered", "age"
    ]  # fmt: skip
    assert list(table["label"]) == [int(value > ABOVE) for value in rows["value"]]
    assert list(table["predicted_label"]) == [int(value > ABOVE) for value in rows["predicted"]]
    assert list(table["label_value"]) == list(rows["value"])
    assert list(table["predicted_value"]) == list(rows["predicted"]), "not a digit is lost"
    covered = (rows["value"] - rows["predicted"]).abs() <= WIDTH
    assert list(table["covered"]) == [float(one) for one in covered]

    other = loans()
    other.loc[5, "value"] = 12.5 if other["value"][5] > ABOVE else 12.6
    job.parquet("facets", facets(other))
    with pytest.raises(InputError, match=r"1 labels, such as that of key 'k005', differ from .*pr"):
        job.run(bias_input)


def test_a_number_is_judged_after_its_threshold(judge: Judge, job: Job) -> None:
    (check,) = judge(IMPACT).checks
    estimates = read_estimates(job.output("intervals") / "intervals.json")
    values = {(item.stage, item.metric): item.value for item in estimates}
    rows = loans().assign(label=lambda all_: all_["value"] > ABOVE)
    rows["predicted"] = rows["predicted"] > ABOVE
    expected = by_rows(rows, {True})
    assert {name: values["post_training", name] for name in expected} == pytest.approx(expected)
    old = rows["age"] == "old"
    difference = rows["label"][~old].mean() - rows["label"][old].mean()
    for distance in ("DPL", "TVD", "KS"):  # of two outcomes they are the same
        assert values["pre_training", distance] == pytest.approx(difference)
    assert (check.value, check.passed) == (pytest.approx(expected["DI"]), False)
    assert "raise `reweighing.strength`" in check.try_
    assert "threshold" not in check.try_, "the contract's bound decides"


def test_labels_are_read_by_clarifys_exclusive_bound_with_a_point(job: Job) -> None:
    """A whole number would be the code of a class; on the bound itself a row is not positive."""
    job.contract(number(above=0))
    contract = load_contract(job.folder("config") / "contract.odcs.yaml")
    text = json.dumps(analysis_config(contract, kind="pre"))
    assert '"label_values_or_threshold": [0.0]' in text
    assert analysis_config(contract, kind="post")["label_values_or_threshold"] == [1]


@pytest.mark.parametrize("values", [[0, 1, 2, 0], [0.0, 0.25, 1e300, -1.0]], ids=["int", "float"])
def test_the_bound_itself_is_not_favourable(
    values: list[float], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = pa.table({"loan_id": [*"abcd"], "age": ["old", "old", "young", "young"]})
    table = table.append_column("price", pa.array(values))
    analysis = analysis_of(tmp_path, monkeypatch, table, number(above=0))
    labels = analysis["pre_training_bias_metrics"]
    assert labels["label_value_or_threshold"] == "above 0"
    (group,) = labels["facets"]["age"]
    metrics = {metric["name"]: metric["value"] for metric in group["metrics"]}
    assert (metrics["CI"], metrics["DPL"]) == (0, 0)  # one of two rows in each group


def test_texts_where_a_number_is_compared_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = pa.table({"loan_id": [*"ab"], "age": ["old", "young"], "price": ["1", "12 days"]})
    with pytest.raises(InputError, match=r"column `price` is compared with a threshold: .*12 days"):
        analysis_of(tmp_path, monkeypatch, table, number(above=0))


def test_weighted_groups_have_every_fifth_of_the_values_equally_often(job: Job) -> None:
    rows = loans()
    job.contract(number(above=ABOVE))
    job.section("reweighing", {"facets": ["age"], "strength": 1})
    job.parquet("facets", facets(rows))
    weight = job.weigh(pa.table({"key": keys(rows), "value": list(rows["value"])}))[
        "weight"
    ].to_numpy()
    fifth = pd.qcut(rows["value"], 5, labels=False)
    table = pd.crosstab(rows["age"], fifth, values=weight, aggfunc="sum", normalize="index")
    assert table.shape == (2, 5)
    assert table.loc["old"].to_numpy() == pytest.approx(table.loc["young"].to_numpy())
    assert len(set(weight)) == 10


def of_numbers(job: Job) -> dict[tuple[str, str], BiasEstimate]:
    estimates = read_estimates(job.output("intervals") / "intervals.json")
    return {(item.metric, item.group): item for item in estimates if item.metric in NUMBER_METRICS}


def test_errors_by_group_are_those_of_the_rows(judge: Judge, job: Job) -> None:
    judge(IMPACT)
    estimates, rows = of_numbers(job), loans()
    assert len(estimates) == 2 * len(NUMBER_METRICS)
    error = rows["predicted"] - rows["value"]
    for group in ("old", "young"):
        own = rows["age"] == group
        expected = {
            "mean_prediction_difference": rows["predicted"][~own].mean()
            - rows["predicted"][own].mean(),
            "mean_error": error[own].mean(),
            "mae": error[own].abs().mean(),
            "interval_coverage": (error[own].abs() <= WIDTH).mean(),
            # The largest distance of two step functions lies at one of their steps.
            "prediction_distance": max(
                abs(
                    (rows["predicted"][own] <= step).mean()
                    - (rows["predicted"][~own] <= step).mean()
                )
                for step in rows["predicted"]
            ),
        }
        for metric, value in expected.items():
            item = estimates[metric, group]
            assert item.value == pytest.approx(value), metric
            assert item.low < item.value < item.high
            assert item.looks == 2  # both groups
            assert (item.n_disadvantaged, item.n_advantaged) == (own.sum(), (~own).sum())
            assert item.disadvantaged == (group == "old")


@pytest.mark.parametrize("looks", [1, 4])
def test_intervals_hold_as_often_as_they_say(looks: int) -> None:
    """Of 400 samples of a known population; the distance's bound is wide on purpose."""
    generator, truth = np.random.default_rng(1), {"mean_prediction_difference": 1.0}
    truth |= {"mean_error": 0.5, "interval_coverage": 0.9}
    missed = dict.fromkeys([*truth, "prediction_distance"], 0)
    truth["prediction_distance"] = float(2 * norm.cdf(0.25) - 1)  # two normals, 1 apart, scale 2
    group = np.arange(160) < 60
    for _ in range(400):
        predicted = generator.normal(np.where(group, 4, 5), 2)
        values = predicted - generator.normal(0.5, np.where(group, 1, 3))
        numbers = PredictedNumbers(values, predicted, generator.random(160) < 0.9)
        for name, item in numbers.of_group(group, looks=looks).items():
            if name in missed:
                missed[name] += not item.low <= truth[name] <= item.high
    most = {1: 0.05, 4: 0.0125}[looks] * 400
    assert max(missed.values()) <= most + 2.5 * np.sqrt(most)
    assert missed["mean_error"] >= most - 2.5 * np.sqrt(most) if looks == 1 else True


COVERAGE = {"metric": "interval_coverage", "facet": "age", "minimum": 0.85, "reason": "told 0.9"}


@pytest.mark.parametrize(("minimum", "by", "passed"), [
    (0.85, "value", False), (0.7, "value", True), (0.78, "bound", False),
])  # fmt: skip
def test_a_gate_judges_the_coverage_of_the_disadvantaged_group(
    judge: Judge, minimum: float, by: str, passed: bool
) -> None:
    gate = COVERAGE | {"minimum": minimum, "judged_by": by}
    (check,) = judge(gate).checks
    rows = loans()[loans()["age"] == "old"]
    share = ((rows["value"] - rows["predicted"]).abs() <= WIDTH).mean()
    assert 0.78 < share < 0.85
    assert (check.name, check.value) == ("interval_coverage age=old", pytest.approx(share))
    assert check.passed is passed
    if not passed:
        assert check.try_.startswith("load more rows of age=old")
        assert "reweighing" not in check.try_


def test_a_group_of_few_rows_has_no_interval_and_fails_its_gate(judge: Judge, job: Job) -> None:
    gate = COVERAGE | {"minimum": 0.5}
    (check,) = judge(gate, minimum_group_size=400).checks
    assert not check.passed
    assert "too few to judge" in check.reason
    item = of_numbers(job)["interval_coverage", "old"]
    assert (item.value, item.low, item.high) == (pytest.approx(check.value), None, None)


def test_a_model_that_always_says_the_same_has_no_difference_and_intervals_of_no_width() -> None:
    group, same = np.arange(20) < 8, np.full(20, 7.25)
    numbers = PredictedNumbers(same - 1, same, np.full(20, True)).of_group(group, looks=1)
    for name, value in (("mean_prediction_difference", 0), ("mean_error", 1), ("mae", 1)):
        assert (numbers[name].low, numbers[name].value, numbers[name].high) == (value,) * 3
    assert numbers["prediction_distance"].value == 0
    assert numbers["interval_coverage"].high == 1
