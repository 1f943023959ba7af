from typing import Any

import pytest
from pydantic import ValidationError

from sashiko.evaluation.gates.quality_checks import Training, quality_checks
from sashiko.evaluation.gates.verdict import Check, decide
from sashiko.evaluation.metrics.uncertainty import Estimate
from sashiko.settings.recipe_quality import QualitySection
from sashiko.settings.recipe_train import ReweighingSection, TrainSection

ECE = "expected_calibration_error"
MEASURED = {
    "auc": Estimate(value=0.82, low=0.80, high=0.84),
    ECE: Estimate(value=0.06, low=0.04, high=0.08),
}
PLAIN = Training(train=TrainSection(), reweighing=ReweighingSection(), train_rows=4000)


def judge(
    gate: dict[str, Any],
    recipe: Training = PLAIN,
    measured: dict[str, Estimate] = MEASURED,
    **leads: Estimate,
) -> Check:
    section = QualitySection.model_validate({"gates": [{"reason": "because", **gate}]})
    by_baseline = {name: {"auc": lead} for name, lead in leads.items()}
    (check,) = quality_checks(section, measured, by_baseline, recipe)
    return check


@pytest.mark.parametrize(
    ("gate", "passed", "comparison"),
    [
        ({"metric": "auc", "minimum": 0.82}, True, ">="),
        ({"metric": "auc", "minimum": 0.8201}, False, ">="),
        ({"metric": ECE, "maximum": 0.06}, True, "<="),
        ({"metric": ECE, "maximum": 0.05}, False, "<="),
        ({"metric": "auc", "minimum": 0.7, "maximum": 0.8}, False, "in_range"),
        ({"metric": "auc", "minimum": 0.8, "maximum": 0.9}, True, "in_range"),
    ],
)
def test_bounds_are_held_against_the_point_estimate(gate, passed, comparison) -> None:
    check = judge(gate)
    assert (check.passed, check.comparison) == (passed, comparison)
    assert (check.low, check.high) != (None, None)
    assert bool(check.try_) is not passed
    assert "because" in check.reason


def test_a_metric_that_is_undefined_fails_and_says_so() -> None:
    undefined = {"auc": Estimate(value=None, low=None, high=None)}
    check = judge({"metric": "auc", "minimum": 0.5}, measured=undefined)
    assert not check.passed
    assert "undefined" in check.reason


@pytest.mark.parametrize(
    ("low", "margin", "passed"),
    [(0.01, 0.0, True), (0.0, 0.0, False), (-0.01, -0.02, True), (-0.03, -0.02, False)],
)
def test_better_than_asks_that_the_whole_interval_of_the_lead_is_above_the_margin(
    low, margin, passed
) -> None:
    gate = {"metric": "auc", "better_than": "tfidf_logistic_regression", "margin": margin}
    check = judge(gate, tfidf_logistic_regression=Estimate(value=0.05, low=low, high=0.1))
    assert check.passed is passed
    assert check.name == "auc lead over tfidf_logistic_regression"
    if not passed:
        assert check.try_.endswith("these rows do not need a language model")
        assert "serve" not in check.try_


def test_a_lead_without_interval_fails() -> None:
    gate = {"metric": "auc", "better_than": "majority"}
    check = judge(gate, majority=Estimate(value=0.3, low=None, high=None))
    assert not check.passed
    assert "no interval" in check.reason


def test_without_a_champion_nothing_is_judged_and_the_run_goes_on() -> None:
    check = judge({"metric": "auc", "better_than": "champion"})
    assert (check.name, check.passed, check.judged) == ("no champion yet", True, False)


def test_a_missing_baseline_is_never_a_pass() -> None:
    with pytest.raises(KeyError, match="majority"):
        judge({"metric": "auc", "better_than": "majority"})


def test_a_blocked_verdict_names_number_interval_bound_and_what_to_try() -> None:
    check = judge({"metric": "auc", "minimum": 0.9})
    summary = decide(gate="model-quality", checks=[check], inputs={}).summary
    assert "auc = 0.82 [0.8, 0.84], required >= 0.9" in summary
    assert "Try: " in summary


def test_no_model_is_compared_by_a_rate_that_is_measured_of_one_alone() -> None:
    with pytest.raises(ValidationError, match="measured of the model alone: give `maximum`"):
        judge({"metric": "injection_flip_rate", "better_than": "champion"})


@pytest.mark.parametrize(
    ("metric", "train", "more", "expected", "unexpected"),
    [
        ("auc", {}, {}, "(`data.train_rows`, now 4,000)", "reweighing"),
        ("auc", {}, {"train_rows": None}, "all are trained on", "train_rows"),
        ("auc", {"frozen_layers": 0, "epochs": 3}, {}, "(`train.epochs`, now 3)", "frozen"),
        ("auc", {}, {"strength": 1.5}, "a lower `reweighing.strength` (now 1.5)", "temperature"),
        (ECE, {}, {}, "`train.calibration: temperature`", "epochs"),
        (ECE, {"calibration": "temperature", "epochs": 3}, {}, "fewer epochs", "temperature"),
    ],
)
def test_the_advice_looks_at_the_recipe(metric, train, more, expected, unexpected) -> None:
    recipe = Training(
        train=TrainSection.model_validate(train),
        reweighing=ReweighingSection(strength=more.get("strength", 0)),
        train_rows=more.get("train_rows", 4000),
    )
    bound = {"maximum": 0.01} if metric == ECE else {"minimum": 0.99}
    check = judge({"metric": metric, **bound}, recipe)
    assert expected in check.try_
    assert unexpected not in check.try_
