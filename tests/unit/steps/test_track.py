import re
import shutil
import sys

import pytest

from sashiko.base.files import read_json
from sashiko.bias.gates.estimates import BiasEstimate, write_estimates
from sashiko.evaluation.evaluation_record import read_evaluation
from sashiko.registry.mlflow import mlflow_client
from sashiko.steps import track
from sashiko.steps.track import (
    EXPLANATIONS_FILE,
    bias_metrics,
    explanation_metrics,
    find_run,
    quality_metrics,
    read_explanations,
)
from tests.unit.run_report.runs import judged, prepared, started

_ALLOWED = re.compile(r"[\w\-. :/]{1,250}")  # MLflow's, of a metric's name


def test_leads_slices_and_calibration_are_logged_under_names_that_mlflow_takes(tmp_path) -> None:
    run = started(tmp_path)
    prepared(run)
    judged(run)
    evaluation = read_evaluation(run.output("Evaluate", "metrics") / "metrics.json")
    logged = quality_metrics(evaluation)
    assert all(_ALLOWED.fullmatch(name) for name in logged)
    assert logged["candidate.brier_score"] == evaluation.candidate["brier_score"].value
    lead = evaluation.leads["tfidf_logistic_regression"]["auc"]
    assert logged["lead_over.tfidf_logistic_regression.auc.low"] == lead.low
    assert logged["calibration_error_by_chance"] == evaluation.calibration.error_by_chance.value
    assert 0 < logged["slice.branch.west.balanced_accuracy"] < 1
    assert not any(name.startswith("slice.shelf.rare") for name in logged)
    assert "temperature" not in logged


def test_each_class_is_logged_and_no_threshold_where_there_is_none(tmp_path) -> None:
    run = started(tmp_path, metric="macro_f1")
    prepared(run)
    judged(run, labels=("Kredit, Darlehen", "Konto", 'Karte "Gold"', "Überweisung"))
    evaluation = read_evaluation(run.output("Evaluate", "metrics") / "metrics.json")
    logged = quality_metrics(evaluation)
    assert all(_ALLOWED.fullmatch(name) for name in logged)
    recall = evaluation.classes[2].recall
    assert logged["class.Karte _Gold_.recall"] == recall.value
    assert logged["class.Karte _Gold_.recall.low"] == recall.low
    assert logged["candidate.macro_f1"] == evaluation.candidate["macro_f1"].value
    assert "threshold" not in logged


def test_a_numbers_errors_its_interval_and_its_bound_are_logged(tmp_path) -> None:
    run = started(tmp_path, metric="r2")
    prepared(run)
    judged(run, number=True)
    evaluation = read_evaluation(run.output("Evaluate", "metrics") / "metrics.json")
    logged = quality_metrics(evaluation)
    assert all(_ALLOWED.fullmatch(name) for name in logged)
    assert logged["candidate.rmse"] == evaluation.candidate["rmse"].value
    coverage = evaluation.candidate["interval_coverage"]
    assert logged["candidate.interval_coverage.low"] == coverage.low
    assert logged["lead_over.tfidf_ridge_regression.mae"] > 0
    assert (logged["interval_half_width"], logged["threshold"]) == (6.5, 5)
    assert logged["slice.branch.west.mae"] > logged["slice.branch.east.mae"]
    assert "calibration_error_by_chance" not in logged


def test_of_intersections_only_reported_metrics_are_logged(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("OPT_ML", str(tmp_path))
    folder = tmp_path / "processing/input/intervals"
    folder.mkdir(parents=True)
    common = {"stage": "post_training", "n_disadvantaged": 120, "n_advantaged": 280}
    estimates = [
        BiasEstimate(metric=metric, facet=facet, group=group, value=value, **common)
        for metric, facet, group, value in (
            ("DI", "age", "60+", 0.9),
            ("AD", "age", "60+", 0.1),
            ("DI", ("age", "sex"), ("60+", "f"), 0.7),
            ("RD", ("age", "sex"), ("60+", "f"), None),
            ("AD", ("age", "sex"), ("60+", "f"), 0.2),
            ("DI", ("age", "sex"), ("60+", "x" * 300), 0.8),
        )
    ]
    write_estimates(estimates, folder)
    logged = bias_metrics()
    assert all(_ALLOWED.fullmatch(name) for name in logged)
    assert logged.pop("bias.DI.age and sex.60_ and f") == 0.7
    assert [logged["bias.DI.age.60_"], logged["bias.AD.age.60_"]] == [0.9, 0.1]
    assert list(logged.values()) == [0.9, 0.1, 0.8]


@pytest.fixture
def job(tmp_path, monkeypatch):
    """A job's `/opt/ml`; MLflow is out of reach."""
    run = started(tmp_path / "run")
    prepared(run)
    judged(run)
    inputs = tmp_path / "job" / "processing" / "input"
    for name, (step, output) in {
        "metrics": ("Evaluate", "metrics"),
        "intervals": ("JudgeBias", "intervals"),
        "explanations": ("Explain", "explanations"),
        "data-verdict": ("Validate", "verdict"),
        "facets-verdict": ("ValidateFacets", "verdict"),
        "quality-verdict": ("Evaluate", "verdict"),
        "bias-verdict": ("JudgeBias", "verdict"),
    }.items():
        shutil.copytree(run.output(step, output), inputs / name)
    (inputs / "run-manifest").mkdir()
    shutil.copy(run.folder / "evidence" / "source.json", inputs / "run-manifest")
    (inputs / "config").mkdir()
    (inputs / "config" / "waivers.json").write_text("[]")
    monkeypatch.setenv("OPT_ML", str(tmp_path / "job"))
    words = {"--registry": "mlflow", "--execution-id": "e" * 12, "--execution-arn": "arn"}
    words |= {"--recipe": "loans", "--experiment": "loans"}
    monkeypatch.setattr(sys, "argv", ["track", *(w for pair in words.items() for w in pair)])
    return tmp_path / "job" / "processing"


def test_mlflow_keeps_the_gates_outcomes_and_the_metrics_of_quality_bias_and_explanations(
    job, tmp_path, monkeypatch
) -> None:
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    execution = {"experiment": "loans", "execution_id": "e" * 12}
    asked_first = find_run(uri, **execution)  # by Register, which does not wait for Track
    track.main()
    run_id = read_json(job / "output" / "tracking" / "tracking.json")["mlflow_run_id"]
    assert asked_first == run_id == find_run(uri, **execution)
    data = mlflow_client(uri).get_run(run_id).data
    gates = {key: value for key, value in data.tags.items() if key.startswith("gate.")}
    assert gates["gate.data-quality"] == "passed"
    assert gates["gate.bias"] == "passed"
    assert data.tags["recipe"] == "loans"
    evaluation = read_evaluation(job / "input" / "metrics" / "metrics.json")
    assert data.metrics["candidate.auc"] == evaluation.candidate["auc"].value
    assert data.metrics["bias.DI.age.old"] == 0.95
    explanations = read_explanations(job / "input" / "explanations" / EXPLANATIONS_FILE)
    assert explanation_metrics(explanations).items() <= data.metrics.items()
