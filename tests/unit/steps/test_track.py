import re

from sashiko.evaluation import read_evaluation
from sashiko.gates.estimates import BiasEstimate, write_estimates
from sashiko.steps.track import bias_metrics, quality_metrics
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


def test_of_intersections_what_is_told_is_logged(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("OPT_ML", str(tmp_path))
    folder = tmp_path / "processing/input/intervals"
    folder.mkdir(parents=True)
    common = {"stage": "post_training", "n_disadvantaged": 120, "n_advantaged": 280}
    write_estimates(
        [
            BiasEstimate(metric=metric, facet=facet, group=group, value=value, **common)
            for metric, facet, group, value in (
                ("DI", "age", "60+", 0.9),
                ("AD", "age", "60+", 0.1),
                ("DI", ("age", "sex"), ("60+", "f"), 0.7),
                ("RD", ("age", "sex"), ("60+", "f"), None),
                ("AD", ("age", "sex"), ("60+", "f"), 0.2),
                ("DI", ("age", "sex"), ("60+", "x" * 300), 0.8),
            )
        ],
        folder,
    )
    logged = bias_metrics()
    assert all(_ALLOWED.fullmatch(name) for name in logged)
    assert logged.pop("bias.DI.age and sex.60_ and f") == 0.7
    assert [logged["bias.DI.age.60_"], logged["bias.AD.age.60_"]] == [0.9, 0.1]
    assert list(logged.values()) == [0.9, 0.1, 0.8]
