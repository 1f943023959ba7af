"""Score and Evaluate with a number; files as the steps after them read them."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from scipy import stats
from sklearn import metrics as oracle
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import Ridge

from sashiko.base.files import sha256_file, write_json
from sashiko.evaluation.gates.verdict import Check
from sashiko.evaluation.reference import read_reference
from sashiko.report.evidence import read_predictions
from sashiko.serving.container.linear import term_list
from tests.e2e.serving.tiny_artifact import NUMBER, OUTCOMES, build_artifact
from tests.unit import acme
from tests.unit.steps import evaluate_job
from tests.unit.steps.evaluate_job import evaluated, expected_value, predictions, run

RIDGE = "tfidf_ridge_regression"
GATES: list[dict[str, Any]] = [
    {"metric": "r2", "minimum": 0.2, "reason": "of use"},
    {"metric": "mae", "maximum": 2.5, "reason": "days that a person can wait"},
    {"metric": "interval_coverage", "minimum": 0.85, "reason": "the interval is shown to people"},
    {"metric": "rmse", "better_than": "mean", "reason": "more than the mean"},
    {"metric": "mae", "better_than": RIDGE, "margin": -9.0, "reason": "worth its cost"},
    {"metric": "mae", "better_than": "champion", "margin": -0.1, "reason": "not worse"},
]


def read(inputs: Path, split: str) -> dict[str, list]:
    return pq.read_table(inputs / split / "data.parquet").to_pydict()


def observed(root: Path) -> tuple[np.ndarray, np.ndarray]:
    """Observed and predicted values of the test rows."""
    rows = [row for row in predictions(root) if row["split"] == "test"]
    return tuple(np.array([row[name] for row in rows]) for name in ("value", "score"))


def test_predictions_have_both_values_and_the_mean_and_ridge_regression_predict_every_row(
    root,
) -> None:
    inputs = evaluate_job.lay_out(root, number=NUMBER, gates=GATES)
    evaluation, decision, _ = run(root)
    splits = [read(inputs, split) for split in ("validation", "test")]
    texts, values = ([v for split in splits for v in split[name]] for name in ("text", "value"))
    rows = predictions(root)
    for row, text, value in zip(rows, texts, values, strict=True):
        expected = expected_value(text, NUMBER)
        assert row["score"] == pytest.approx(expected, abs=1e-5)
        assert (row["value"], row["half_width"]) == (value, 4.5)
        assert (row["label"], row["predicted"]) == (value > 0, row["score"] > 0)
    assert {row["predicted"] for row in rows} == {0, 1}
    assert (decision.policy, decision.threshold) == ("bound", 0)
    seen = read_predictions(root / "processing/output/predictions/predictions.parquet")
    assert seen.truth.tolist() == splits[1]["value"]
    assert seen.by_class.shape == (120, 1)

    # The mean is Train's; ridge regression is what scikit-learn fits to the same columns.
    others = evaluation.others
    values, _ = observed(root)
    assert others["mean"]["mae"].value == pytest.approx(np.mean(abs(values - 3.0)))
    train, test = (read(inputs, name) for name in ("train", "test"))
    vectorizer = TfidfVectorizer(analyzer=term_list, sublinear_tf=True)
    model = Ridge(alpha=1.0).fit(vectorizer.fit_transform(train["text"]), train["value"])
    expected = model.predict(vectorizer.transform(test["text"]))
    assert others[RIDGE]["mae"].value == pytest.approx(np.mean(abs(values - expected)), rel=1e-5)
    assert "interval_coverage" not in others[RIDGE]
    evaluate_job.write_weights(inputs, flipped=3.0)
    evaluation = run(root)[0]
    again = evaluation.others
    assert again[f"{RIDGE}_unmitigated"] == others[RIDGE]
    assert again[RIDGE]["mae"] != others[RIDGE]["mae"]
    assert f"{RIDGE}_unmitigated" not in evaluation.leads


def test_the_record_has_the_figures_of_scikit_learn(root) -> None:
    evaluation, _, verdict = evaluated(root, number=NUMBER, gates=GATES)
    values, predicted = observed(root)
    candidate = {name: estimate.value for name, estimate in evaluation.candidate.items()}
    errors = predicted - values
    assert candidate == {
        "rmse": pytest.approx(oracle.root_mean_squared_error(values, predicted)),
        "mae": pytest.approx(oracle.mean_absolute_error(values, predicted)),
        "median_absolute_error": pytest.approx(oracle.median_absolute_error(values, predicted)),
        "r2": pytest.approx(oracle.r2_score(values, predicted)),
        "interval_coverage": pytest.approx(np.mean(abs(errors) <= 4.5)),
    }
    number = evaluation.number
    assert (number.half_width, number.coverage, number.standard_deviation) == (4.5, 0.9, 1.5)
    assert (evaluation.labels, evaluation.threshold) == (OUTCOMES, 0)
    count = evaluation.splits["test"]
    assert (count.positives, count.mean) == (sum(values > 0), pytest.approx(values.mean()))
    matrix = oracle.confusion_matrix(values > 0, predicted > 0)
    assert [list(counts) for counts in evaluation.matrix] == matrix.tolist()
    curve = evaluation.calibration.curve
    assert sum(item.rows * item.positive_rate for item in curve) == sum(abs(errors) <= 4.5)
    assert sum(item.rows * item.mean_score for item in curve) == pytest.approx(predicted.sum())
    assert evaluation.calibration.error_by_chance.value is None
    file = root / "processing/output/metrics/statistics.json"
    statistics = json.loads(file.read_text())["regression_metrics"]
    assert {name: item["value"] for name, item in statistics.items()} == {
        "mae": candidate["mae"], "rmse": candidate["rmse"], "r2": candidate["r2"],
        "mse": pytest.approx(oracle.mean_squared_error(values, predicted)),
    }  # fmt: skip
    assert statistics["mae"]["standard_deviation"] == pytest.approx(
        abs(errors).std() / np.sqrt(120), rel=0.2
    )
    checks = {check.name: check for check in verdict.checks}
    low, high = stats.binomtest(sum(abs(errors) <= 4.5), 120).proportion_ci(method="exact")
    coverage = checks["interval_coverage"]
    assert (coverage.low, coverage.high) == pytest.approx((low, high))
    assert not coverage.passed
    assert coverage.try_.startswith("look for what changed between the validation rows")
    assert not checks["mae"].passed
    assert checks["rmse lead over mean"].passed
    assert checks[f"mae lead over {RIDGE}"].passed


def test_slices_are_ordered_by_their_error_and_know_its_sign(root) -> None:
    evaluation = evaluated(root, number=NUMBER, gates=GATES, slices={"minimum_rows": 30})[0]
    values, predicted = observed(root)
    slices = evaluation.slices
    assert slices.metric == "mae"
    north = next(item for item in slices.judged if item.value == "north")
    errors = (predicted - values)[::3]
    assert {name: estimate.value for name, estimate in north.metrics.items()} == {
        "rmse": pytest.approx(np.sqrt(np.mean(errors**2))),
        "mae": pytest.approx(np.mean(abs(errors))),
        "mean_error": pytest.approx(np.mean(errors)),
        "interval_coverage": pytest.approx(np.mean(abs(errors) <= 4.5)),
    }
    everywhere = np.mean(abs(predicted - values))
    apart = {item.value: item.differences["mae"].value for item in slices.judged}
    assert apart["north"] == pytest.approx(everywhere - np.mean(abs(errors)))
    assert [*apart.values()] == sorted(apart.values())


def test_notes_say_how_the_errors_compare_and_how_many_rows_the_interval_holds(root) -> None:
    """A lead in days counts from 0.005 standard deviations on, and 1.5 days are one."""
    evaluation = evaluated(root, number=NUMBER, gates=GATES)[0]
    notes = "\n".join(evaluation.notes)
    assert "On R² the fine-tuned model is better than always answering with the mean" in notes
    assert "the linear baseline (TF-IDF and ridge regression): " in notes
    assert "The interval of ±4.500 around each prediction holds the observed value of 6" in notes
    assert "less than the 90 % that it was fitted to" in notes
    assert evaluation.least_lead("r2") == 0.005
    assert evaluation.least_lead("mae") == pytest.approx(0.0075)


def champion_check(root: Path, archive: Path, threshold: float) -> tuple[Any, Check]:
    record = {"version": 3, "sha256": sha256_file(archive), "threshold": threshold}
    evaluate_job.champion(root, record, archive)
    evaluation, _, verdict = run(root)
    (check,) = (item for item in verdict.checks if "champion" in item.name)
    return evaluation, check


def test_a_champion_of_the_same_bound_is_compared(root, tmp_path) -> None:
    inputs = evaluate_job.lay_out(root, number=NUMBER, gates=GATES)
    evaluation, check = champion_check(root, inputs / "artifact" / "model.tar.gz", 0)
    assert (check.value, check.passed) == (0, True)
    assert evaluation.others["champion"] == evaluation.candidate
    worse = build_artifact(tmp_path / "worse", number=NUMBER | {"mean": 9.0, "half_width": 2.0})
    evaluation, check = champion_check(root, worse, 0)
    values, predicted = observed(root)
    expected = np.mean(abs(predicted + 6 - values)) - np.mean(abs(predicted - values))
    assert check.value == pytest.approx(expected)
    covered = evaluation.others["champion"]["interval_coverage"].value
    assert covered == pytest.approx(np.mean(abs(predicted + 6 - values) <= 2))


def test_a_champion_of_another_bound_or_of_classes_is_not_comparable(root, tmp_path) -> None:
    evaluate_job.lay_out(root, number=NUMBER, gates=GATES)
    bound = build_artifact(tmp_path / "bound", number=NUMBER | {"above": 5.0})
    classes = build_artifact(tmp_path / "classes", labels=OUTCOMES)
    reasons = {
        bound: "its bound is another one: above 5, and not above 0",
        classes: "it predicts classes",
    }
    for archive, reason in reasons.items():
        evaluation, check = champion_check(root, archive, 0.5)
        assert "champion" not in evaluation.leads
        assert (check.name, check.reason, check.judged) == (
            "champion not comparable",
            reason,
            False,
        )


def test_the_reference_counts_predicted_values_and_outcomes(root) -> None:
    evaluated(root, number=NUMBER, gates=GATES)
    reference = read_reference(root / "processing/output/metrics/reference.json")
    values, predicted = observed(root)
    assert reference.accuracy == np.mean((values > 0) == (predicted > 0))
    assert sum(reference.scores.counts) == 120
    assert reference.confusion.true_positives == sum((values > 0) & (predicted > 0))
    errors, number = abs(values - predicted), reference.number
    assert (number.half_width, number.error_cap) == (4.5, 9.0)
    assert number.covered == sum(errors <= 4.5)
    assert number.capped_error == pytest.approx(np.minimum(errors / 9, 1).sum())
    assert number.metrics["mae"] == pytest.approx(errors.mean())
    assert set(number.metrics) == {"rmse", "mae", "median_absolute_error", "r2"}


def test_a_projects_own_metric_and_gate_get_the_values(root, monkeypatch) -> None:
    def metric(labels, scores, *, threshold):
        assert threshold == 0
        return float(np.abs(labels - scores).max())

    def gate(evidence):
        worst = float(np.abs(evidence.labels - evidence.candidate.scores).max())
        return [Check(name="worst error", value=worst, passed=True)]

    metric.higher_is_better = False  # type: ignore[attr-defined]
    monkeypatch.setattr(acme, "worst", metric, raising=False)
    monkeypatch.setattr(acme, "judge", gate, raising=False)
    named = {"metric": f"{acme.__name__}:worst", "maximum": 7.0, "reason": "our own"}
    inputs = evaluate_job.lay_out(root, number=NUMBER, gates=[*GATES, named])
    own = [{"gate": f"{acme.__name__}:judge", "reason": "our own"}]
    quality = {"gates": [*GATES, named], "own_gates": own}
    write_json(inputs / "config" / "quality.json", quality)
    evaluation, _, verdict = run(root)
    assert evaluation.candidate[named["metric"]].value == pytest.approx(6.0, abs=1e-5)
    assert verdict.checks[-1].value == pytest.approx(6.0, abs=1e-5)
