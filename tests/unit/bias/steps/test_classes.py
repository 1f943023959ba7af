"""The bias steps on a label of four classes, against computations row by row."""

import json
import shutil
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from scipy import stats

from sashiko.bias.gates.estimates import CLASSES_FILE, BiasEstimate, read_estimates
from sashiko.bias.steps import bias_input, judge_bias
from sashiko.bias.steps.weights import reweighing_weights
from sashiko.evaluation.gates.verdict import Verdict, read_verdict
from sashiko.evaluation.metrics.uncertainty import effective_rows
from tests.unit.bias.steps.bias_folders import Job, analysis_of, facet_rows, prediction_rows
from tests.unit.contract.documents import column_of, custom, document

# As the contract's `enum` lists them; the first and the third are favourable.
NAMES = ('on time, "at last"', "spät", "renewed", "lost\nat sea")
FAVOURABLE = (NAMES[0], NAMES[2])
CLASSES = (NAMES[1], NAMES[3], *FAVOURABLE)
RENEWED = {"metric": "DI", "facet": "age", "minimum": 0.8, "maximum": 1.25, "reason": "4 / 5"}


def of_classes() -> dict[str, Any]:
    edited = document()
    column_of(edited, "late")["enum"] = [{"value": name} for name in NAMES]
    custom(edited, "label")["value"] = {"column": "late", "favourable": list(FAVOURABLE)}
    return edited


def loans(rows: int = 900, seed: int = 3) -> pd.DataFrame:
    """Loans whose old readers have and are predicted `renewed` less often."""
    generator = np.random.default_rng(seed)
    age = generator.choice(["old", "young"], rows, p=[0.4, 0.6])
    chances = {"old": [0.3, 0.2, 0.4, 0.1], "young": [0.2, 0.1, 0.3, 0.4]}
    label = np.array([generator.choice(4, p=chances[one]) for one in age])
    missed = (generator.random(rows) < 0.4) & ((age == "old") | (generator.random(rows) < 0.3))
    predicted = np.where(missed, generator.choice(4, rows), label)
    return pd.DataFrame({"age": age, "label": label, "predicted": predicted})


def answered(rows: pd.DataFrame) -> "pd.Series[bool]":
    """Whether each loan is answered: the wrongly predicted ones of old readers are not."""
    return (rows["label"] == rows["predicted"]) | (rows["age"] == "young") & (rows.index % 9 > 0)


@pytest.fixture(params=[None])
def verdict(
    job: Job, tmp_path: Any, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> Verdict:
    """Runs BiasInput, the two analyses and JudgeBias on the loans; the parameter are gates."""
    rows = loans()
    keys = [f"k{number:03}" for number in range(len(rows))]
    job.contract(of_classes())
    facets = facet_rows(keys, list(rows["age"]), [CLASSES[index] for index in rows["label"]])
    job.parquet("facets", facets)
    predictions = prediction_rows(keys, list(rows["label"]), list(rows["predicted"]))
    if request.param:
        predictions = predictions.append_column("answered", pa.array(answered(rows)))
    job.parquet("predictions", predictions, file="predictions.parquet")
    job.run(bias_input)
    if request.param:
        shutil.copytree(job.output("meta"), job.folder("data-meta"), dirs_exist_ok=True)
    csv = (job.output("data") / "data.csv").read_text(encoding="utf-8")
    for name, data in (("pre-analysis", facets), ("post-analysis", csv)):
        analysis = analysis_of(tmp_path / name, monkeypatch, data, of_classes())
        job.text(name, json.dumps(analysis), file="analysis.json")
    job.text("data", csv)
    job.section("bias", {"gates": request.param or [RENEWED]})
    job.section("reweighing", {"facets": ["age"], "strength": 1})
    job.section("evaluate", {})
    job.run(judge_bias)
    return read_verdict(job.output("verdict"))


def by_rows(rows: pd.DataFrame, positive: set[int]) -> dict[str, float]:
    """Clarify's metrics of the predictions from means of rows; old readers are disadvantaged."""
    label, said = rows["label"].isin(positive), rows["predicted"].isin(positive)
    old = rows["age"] == "old"

    def difference(values: "pd.Series[bool]", among: "pd.Series[bool]") -> float:
        return float(values[among & ~old].mean() - values[among & old].mean())

    everyone = pd.Series(True, index=rows.index)
    return {
        "AD": difference(label == said, everyone),
        "DAR": difference(label, said),
        "DI": float(said[old].mean() / said[~old].mean()),
        "DPPL": difference(said, everyone),
        "DRR": -difference(~label, ~said),
        "RD": difference(said, label),
        "SD": -difference(~said, ~label),
    }


SILENT = {"metric": "abstention_rate", "facet": "age", "maximum": 0.3, "reason": "nobody waits"}


@pytest.mark.parametrize("verdict", [[RENEWED, SILENT]], indirect=True)
def test_rows_without_an_answer_are_in_no_metric_but_the_abstention_rate(verdict, job: Job) -> None:
    """The old readers are answered less often, and fairly where they are."""
    rows = loans()
    given = answered(rows)
    estimates = read_estimates(job.output("intervals") / "intervals.json")
    values = {item.metric: item for item in estimates if item.stage == "post_training"}
    expected = by_rows(rows[given], {2, 3})
    assert {name: values[name].value for name in expected} == pytest.approx(expected)
    assert values["DI"].n_disadvantaged == int((given & (rows["age"] == "old")).sum())
    of_labels = {item.metric: item for item in estimates if item.stage == "pre_training"}
    assert of_labels["DPL"].n_disadvantaged == int((rows["age"] == "old").sum())
    rates = {item.group: item for item in estimates if item.metric == "abstention_rate"}
    assert rates.keys() == {"old", "young"}
    for group, item in rates.items():
        silent = ~given[rows["age"] == group]
        ends = stats.binomtest(int(silent.sum()), len(silent)).proportion_ci(1 - 0.05 / 2)
        assert (item.value, item.low, item.high) == pytest.approx(
            (silent.mean(), ends.low, ends.high)
        )
    check = next(check for check in verdict.checks if check.name == "abstention_rate age=old")
    assert (check.value, check.passed) == (rates["old"].value, False)
    assert check.try_.startswith(
        "lower what `evaluate.abstain` asks for; load more rows of age=old"
    )


def test_the_csv_names_the_classes_with_commas_quotes_and_line_breaks(verdict, job: Job) -> None:
    table = pd.read_csv(job.output("data") / "data.csv", keep_default_na=False)
    rows = loans()
    assert list(table["label"]) == [CLASSES[index] for index in rows["label"]]
    assert list(table["predicted_label"]) == [CLASSES[index] for index in rows["predicted"]]


def test_metrics_are_of_the_favourable_classes_and_distances_of_the_whole_distribution(
    verdict, job: Job
) -> None:
    estimates = read_estimates(job.output("intervals") / "intervals.json")
    values = {item.metric: item.value for item in estimates if item.stage == "post_training"}
    expected = by_rows(loans(), {2, 3})
    assert {name: values[name] for name in expected} == pytest.approx(expected)
    assert not any(item.outcome for item in estimates)
    (check,) = verdict.checks
    assert (check.value, check.passed) == (pytest.approx(expected["DI"]), False)
    assert "raise `reweighing.strength`" in check.try_
    assert "threshold" not in check.try_, "the most probable class is predicted"

    values = {item.metric: item.value for item in estimates if item.stage == "pre_training"}
    shares = pd.crosstab(loans()["age"], loans()["label"], normalize="index")
    young, old = shares.loc["young"], shares.loc["old"]
    assert values["DPL"] == pytest.approx((young - old)[[2, 3]].sum())
    assert values["KL"] == pytest.approx((young * np.log(young / old)).sum())
    assert values["TVD"] == pytest.approx((young - old).abs().sum() / 2)
    assert values["KS"] == pytest.approx((young - old).abs().max())


def test_each_class_is_compared_with_all_others(verdict, job: Job) -> None:
    estimates = read_estimates(job.output("intervals") / CLASSES_FILE)
    values = {(item.outcome, item.metric): item for item in estimates}
    assert len(values) == len(estimates) == 4 * len(CLASSES)
    for index, name in enumerate(CLASSES):
        expected = by_rows(loans(), {index})
        for metric in ("DPPL", "DI", "RD", "DAR"):
            item: BiasEstimate = values[name, metric]
            assert item.value == pytest.approx(expected[metric])
            assert item.low is not None
            assert item.high is not None
            assert item.low < item.value < item.high
            assert item.looks == len(CLASSES)


def test_weighted_groups_have_every_class_equally_often(job: Job, capsys) -> None:
    rows = loans()
    keys = [f"k{number:03}" for number in range(len(rows))]
    job.contract(of_classes())
    job.section("reweighing", {"facets": ["age"], "strength": 1})
    names = [CLASSES[index] for index in rows["label"]]
    job.parquet("facets", facet_rows(keys, list(rows["age"]), names))
    weight = job.weigh(pa.table({"key": keys, "label": rows["label"].to_list()}))[
        "weight"
    ].to_numpy()
    table = pd.crosstab(rows["age"], rows["label"], values=weight, aggfunc="sum", normalize="index")
    assert table.loc["old"].to_numpy() == pytest.approx(table.loc["young"].to_numpy())
    worth = weight.sum() ** 2 / (weight**2).sum()
    assert f"worth {worth:,.0f} rows of equal weight" in capsys.readouterr().err


def test_a_lone_row_of_a_group_and_class_does_not_decide_what_is_learned() -> None:
    labels = np.repeat([0, 1, 2], 100)
    groups = np.r_[np.zeros(199, np.int64), np.ones(101, np.int64)]  # one row of class 1 in group 1
    weight = reweighing_weights(groups, labels, strength=1, classes=3)
    alone = weight[199] / weight[0]
    # Without a limit it would be 101 / 300 * 100 / 1 = 33.7 to 199 / 300 * 100 / 100 = 0.66.
    assert alone == pytest.approx(10 / (199 / 300))
    assert weight.mean() == pytest.approx(1)
    assert effective_rows(weight) < len(labels)
