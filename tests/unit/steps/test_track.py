import re

from sashiko.evaluation import read_evaluation
from sashiko.steps.track import quality_metrics
from tests.unit.report.runs import judged, prepared, started

_ALLOWED = re.compile(r"[\w\-. :/]{1,250}")  # MLflow's, of a metric's name


def test_leads_slices_and_calibration_are_logged_under_names_that_mlflow_takes(tmp_path) -> None:
    run = started(tmp_path)
    prepared(run)
    judged(run)
    found = read_evaluation(run.output("Evaluate", "metrics") / "metrics.json")
    logged = quality_metrics(found)
    assert all(_ALLOWED.fullmatch(name) for name in logged)
    assert logged["candidate.brier_score"] == found.candidate["brier_score"].value
    lead = found.leads["tfidf_logistic_regression"]["auc"]
    assert logged["lead_over.tfidf_logistic_regression.auc.low"] == lead.low
    assert logged["calibration_error_by_chance"] == found.calibration.error_by_chance.value
    assert 0 < logged["slice.branch.west.balanced_accuracy"] < 1
    assert not any(name.startswith("slice.shelf.rare") for name in logged)
    assert "temperature" not in logged
