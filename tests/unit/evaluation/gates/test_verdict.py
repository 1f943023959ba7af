"""The verdict: its summary, waivers and closed gate; and the checks of model quality."""

import dataclasses
import json
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError
from scipy import stats
from sklearn import metrics as oracle

from sashiko.errors import InputError
from sashiko.evaluation.gates.closed_gate import GateClosedError, closing_summary
from sashiko.evaluation.gates.quality_checks import Training, quality_checks
from sashiko.evaluation.gates.verdict import (
    Check,
    Verdict,
    decide,
    read_verdict,
    waive,
    write_verdict,
)
from sashiko.evaluation.metrics.arrays import ModelScores, two_classes
from sashiko.evaluation.metrics.calibration import share_estimate
from sashiko.evaluation.metrics.classes import ClassRates, class_rates
from sashiko.evaluation.metrics.uncertainty import Estimate
from sashiko.settings.recipe_quality import QualitySection, Waiver
from sashiko.settings.recipe_train import ReweighingSection, TrainSection

PASSED = Check(name="rows", value=10, threshold=5, comparison=">=", passed=True)
FAILED = Check(
    name="DI gender=female", value=0.43, low=0.38, high=0.48, threshold=(0.8, 1.25),
    comparison="in_range", passed=False, reason="outside the four-fifths rule",
    try_="raise reweighing.strength",
)  # fmt: skip


def test_a_failed_check_or_none_closes_the_gate_and_what_is_not_judged_is_named():
    verdict = decide(gate="bias", checks=[PASSED, FAILED], inputs={})
    assert not verdict.passed
    for part in ("DI gender=female", "0.43", "[0.38, 0.48]", "0.8 to 1.25", "Try: raise"):
        assert part in verdict.summary
    assert "rows" not in verdict.summary
    assert not decide(gate="bias", checks=[], inputs={}).passed

    unjudged = [Check(name=f"age={age}", passed=True, judged=False) for age in range(7)]
    judged = Check(name="DI age=old", value=0.9, passed=True)
    verdict = decide(gate="bias", checks=[judged, *unjudged], inputs={})
    assert verdict.passed
    listed = "age=0, age=1, age=2, age=3, age=4 and 2 more"
    assert verdict.summary == f"bias: 1 check passed; not judged: {listed}"


def test_a_file_that_is_no_verdict_is_refused(tmp_path):
    (tmp_path / "verdict.json").write_text('{"passed": true}')
    with pytest.raises(InputError, match="not a verdict"):
        read_verdict(tmp_path)


@pytest.mark.parametrize(
    ("low", "high", "threshold", "comparison", "spans"),
    [
        (0.79, 0.95, 0.8, ">=", True),
        (0.8, 0.95, 0.8, ">=", False),
        (-0.01, 0.05, -0.02, ">", False),
        (0.01, 0.12, 0.1, "<=", True),
        (0.01, 0.1, 0.1, "<=", False),
        (0.75, 1.1, (0.8, 1.25), "in_range", True),
        (0.9, 1.3, (0.8, 1.25), "in_range", True),
        (0.9, 1.1, (0.8, 1.25), "in_range", False),
        (None, None, 0.8, ">=", False),
        (0.1, 0.9, None, "none", False),
    ],
)
def test_an_interval_that_spans_the_bound_is_distinguished_from_one_that_does_not(
    low, high, threshold, comparison, spans
) -> None:
    check = Check(
        name="DI age=old", value=0.9, low=low, high=high, threshold=threshold,
        comparison=comparison, passed=True,
    )  # fmt: skip
    assert check.spans_bound is spans
    assert not check.model_copy(update={"passed": False}).spans_bound
    summary = decide(gate="bias", checks=[check], inputs={}).summary
    said = "passed, but the interval spans the bound: DI age=old = 0.9 ["
    assert (said in summary) is spans


DAY = date(2027, 3, 31)
WAIVER = Waiver(
    check=FAILED.name, reason="the desk reads every case", owner="Ada Lovelace", expires=DAY
)


def verdict(*checks: Check) -> Verdict:
    return decide(gate="bias", checks=checks, inputs={"data": "d" * 64})


def test_a_waived_check_lets_the_run_go_on_and_the_verdict_stays_failed(tmp_path: Path) -> None:
    waived = waive(verdict(FAILED, PASSED), [WAIVER], on=DAY)
    assert not waived.passed
    assert waived.released
    assert "1 of 2 checks failed" in waived.summary
    assert f"WAIVED by Ada Lovelace until {DAY}: the desk reads every case" in waived.summary
    write_verdict(waived, tmp_path)
    assert read_verdict(tmp_path) == waived


def test_a_waiver_holds_until_its_day_and_for_its_check_alone() -> None:
    over = waive(verdict(FAILED), [WAIVER], on=date(2027, 4, 1))
    assert not over.released
    assert "the waiver of Ada Lovelace expired on 2027-03-31" in over.summary
    assert "WAIVED" not in over.summary

    other = FAILED.model_copy(update={"name": "DI age_band=60+"})
    assert not waive(verdict(FAILED, other), [WAIVER], on=DAY).released


def test_a_waiver_of_another_name_is_named_and_a_passed_check_needs_none() -> None:
    near = WAIVER.model_copy(update={"check": FAILED.name.replace("=", " = ")})
    result = waive(verdict(FAILED), [near], on=DAY)
    assert not result.released
    assert f"the waiver of `{near.check}` is for another check" in result.summary

    passed = verdict(PASSED)
    result = waive(passed, [WAIVER.model_copy(update={"check": PASSED.name})], on=DAY)
    assert result == passed
    assert "waiver" not in result.model_dump(mode="json")["checks"][0]


@pytest.mark.parametrize("missing", ["check", "reason", "owner", "expires"])
def test_a_waiver_says_what_why_who_and_until_when(missing: str) -> None:
    value = {key: item for key, item in WAIVER.model_dump().items() if key != missing}
    with pytest.raises(ValidationError, match=missing):
        Waiver.model_validate(value)


# FailureReason of PipelineExecutionStep, SageMaker API reference.
MOST = 1024
LONG = [
    f"{gate}: 9 of 9 checks failed\n"
    + "\n".join(f"- check {n}: zu früh, „{gate}“" for n in range(40))
    for gate in ("data-quality", "data-quality-facets", "model-quality", "bias")
]


def response(message: str) -> str:
    """What Lambda answers when a function raises (Lambda Developer Guide, python-exceptions)."""
    error = {
        "errorMessage": message,
        "errorType": "GateClosedError",
        "requestId": "0b5b3a8e-6f1f-4d8a-8b43-0c1f9b0f3f51",
        "stackTrace": ['  File "/var/task/sashiko/functions/gatekeeper.py", line 36, in handler\n'],
    }
    return json.dumps(error)


def test_four_long_summaries_fit_and_none_of_them_is_lost() -> None:
    assert all(len(summary) > 1000 for summary in LONG)
    closed = GateClosedError(LONG)
    reason = f"Step failed: {response(str(closed))}"[:MOST]
    text = closing_summary(reason)
    lines = text.splitlines()
    for summary in LONG:
        head, first = summary.splitlines()[:2]
        assert head in lines
        assert first in lines
    assert text.count("...") == 4
    assert closed.summary == "\n".join(LONG)
    assert "requestId" in reason  # so nothing of the message was cut off


def test_short_summaries_stay_whole_beside_a_long_one() -> None:
    short = "bias: 1 of 2 checks failed\n- DI gender=female = 0.7, required >= 0.8"
    summary = closing_summary(str(GateClosedError([LONG[0], short])))
    assert summary.endswith(f"...\n{short}")
    assert len(summary) > 500  # the long one has what the short one leaves
    assert closing_summary(str(GateClosedError([short]))) == short


@pytest.mark.parametrize(
    "around", ["{}", "ClientError: {}", "GateClosedError: {} (Service: AWSLambda)"]
)
def test_the_message_is_extracted_whatever_stands_around_it(around: str) -> None:
    summary = closing_summary(around.format(GateClosedError(['a "b"\nc'])))
    assert summary.startswith('a "b"\nc')


@pytest.mark.parametrize("cut", [None, 60, 46, 45, 44])
def test_the_message_is_extracted_from_lambdas_own_words(cut: int | None) -> None:
    text = 'a "ü"\nc'
    summary = closing_summary(response(str(GateClosedError([text])))[:cut])
    assert summary == text if cut is None else summary.startswith("a ")


@pytest.mark.parametrize(
    "reason",
    ["", "AccessDenied", response("KeyError: 'passed'"), "2026-11-27 Task timed out after 60.00 s"],
)
def test_a_fault_of_the_function_is_no_closed_gate(reason: str) -> None:
    assert closing_summary(reason) is None


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


def rates(rows: int, right: int) -> ClassRates:
    share = np.arange(rows) < right
    return ClassRates(rows=rows, predicted=rows, recall=share_estimate(share),
                      precision=share_estimate(share), f1=None)  # fmt: skip


def test_the_worst_class_is_named_and_one_of_few_rows_is_not_judged() -> None:
    """A small class that is never found does not fail the gate: it is named as not judged."""
    gate = {"metric": "worst_class_recall", "minimum": 0.5, "reason": "nobody is left out"}
    section = QualitySection.model_validate({"gates": [gate]})
    by_class = {"Konto": rates(30, 12), "Karte, Gold": rates(200, 190), "Kredit": rates(29, 0)}
    measured = {"worst_class_recall": by_class["Konto"].recall}
    worst, few = quality_checks(section, measured, {}, PLAIN, by_class=by_class)
    assert (worst.value, worst.passed) == (0.4, False)
    assert worst.reason == "that of `Konto`; nobody is left out"
    assert (few.name, few.passed, few.judged) == ("recall of Kredit", True, False)
    assert few.reason == "29 test rows of this class, fewer than 30"
    by_class = {"Konto": rates(10, 0), "Kredit": rates(29, 0)}
    undefined = {"worst_class_recall": Estimate(value=None, low=None, high=None)}
    checks = quality_checks(section, undefined, {}, PLAIN, by_class=by_class)
    assert [check.judged for check in checks] == [False, False]
    gate = {"metric": "worst_class_recall", "better_than": "majority", "reason": "-"}
    section = QualitySection.model_validate({"gates": [gate]})
    (lead,) = quality_checks(section, {}, {"majority": undefined}, PLAIN, by_class=by_class)
    assert (lead.passed, lead.judged, lead.reason) == (True, False, "no class has 30 test rows")


def test_a_gate_on_one_class_bounds_its_recall_precision_or_f1() -> None:
    """60 rows of the class, 50 of them among 75 predictions of it; the other class has 40 rows."""
    counts = [50, 10, 25, 15]
    labels, predicted = np.repeat([1, 1, 0, 0], counts), np.repeat([1, 0, 1, 0], counts)
    scores = ModelScores(two_classes(predicted.astype(float)), 0.5)
    by_class = dict(zip(("no", "Karte, Gold"), class_rates(labels, scores), strict=True))
    expected = {"recall": (50, 60), "precision": (50, 75), "f1": (50, 85)}
    for metric, (right, rows) in expected.items():
        gate = {"metric": metric, "class": "Karte, Gold", "minimum": 0.75, "reason": "rarely lost"}
        section = QualitySection.model_validate({"gates": [gate]})
        assert section.model_dump(mode="json", exclude_unset=True) == {"gates": [gate]}
        (check,) = quality_checks(section, {}, {}, PLAIN, by_class=by_class)
        ends = stats.binomtest(right, rows).proportion_ci(method="wilson")
        numbers = np.array([right / rows, ends.low, ends.high])
        if metric == "f1":  # of rows that are labelled or predicted so, right ones are the share
            numbers = 2 * numbers / (1 + numbers)
            assert numbers[0] == pytest.approx(oracle.f1_score(labels, predicted))
        assert (check.value, check.low, check.high) == pytest.approx(tuple(numbers))
        assert (check.name, check.passed) == (f"{metric} of Karte, Gold", numbers[0] >= 0.75)
        assert check.spans_bound == (numbers[1] < 0.75 <= numbers[0])
    by_class = {"few": rates(29, 0), "never": ClassRates(
        rows=30, predicted=0, recall=share_estimate(np.zeros(30, bool)),
        precision=share_estimate(np.zeros(0, bool)), f1=0.0,
    )}  # fmt: skip
    gates = [
        {"metric": "precision", "class": name, "minimum": 0.1, "reason": "-"} for name in by_class
    ]
    section = QualitySection.model_validate({"gates": gates})
    few, never = quality_checks(section, {}, {}, PLAIN, by_class=by_class)
    assert (few.judged, few.reason) == (False, "29 test rows of this class, fewer than 30")
    assert (never.passed, never.reason) == (
        False, "undefined on the test split, as no row is predicted as this class; -"
    )  # fmt: skip


@pytest.mark.parametrize("wrong", [{"metric": "auc"}, {"better_than": "majority", "minimum": None}])
def test_a_gate_on_one_class_refuses_other_metrics_and_leads(wrong) -> None:
    gate = {"metric": "recall", "class": "no", "minimum": 0.5, "reason": "-"}
    with pytest.raises(ValidationError, match="a bound on one of recall, precision, f1"):
        QualitySection.model_validate({"gates": [gate | wrong]})


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


def test_an_undefined_metric_or_a_lead_without_interval_fails_and_no_champion_does_not() -> None:
    undefined = {"auc": Estimate(value=None, low=None, high=None)}
    check = judge({"metric": "auc", "minimum": 0.5}, measured=undefined)
    assert not check.passed
    assert "undefined" in check.reason

    gate = {"metric": "auc", "better_than": "majority"}
    check = judge(gate, majority=Estimate(value=0.3, low=None, high=None))
    assert not check.passed
    assert "no interval" in check.reason
    check = judge({"metric": "auc", "better_than": "champion"})
    assert (check.name, check.passed, check.judged) == ("no champion yet", True, False)


@pytest.mark.parametrize(
    ("low", "margin", "passed"),
    [(0.01, 0.0, True), (0.0, 0.0, False), (-0.01, -0.02, True), (-0.03, -0.02, False)],
)
@pytest.mark.parametrize("linear", ["tfidf_logistic_regression", "tfidf_ridge_regression"])
def test_better_than_asks_that_the_whole_interval_of_the_lead_is_above_the_margin(
    low, margin, passed, linear
) -> None:
    gate = {"metric": "auc", "better_than": linear, "margin": margin}
    check = judge(gate, **{linear: Estimate(value=0.05, low=low, high=0.1)})
    assert check.passed is passed
    assert check.name == f"auc lead over {linear}"
    if not passed:
        assert check.try_.endswith(
            "these rows do not need a language model: train the linear one by "
            "`--set model.family=linear`"
        )


def test_a_linear_model_is_not_compared_with_itself_and_gets_no_advice_on_epochs() -> None:
    linear = dataclasses.replace(PLAIN, linear=True)
    check = judge({"metric": "auc", "better_than": "tfidf_logistic_regression"}, linear)
    assert (check.passed, check.judged) == (True, False)
    assert "not compared with itself" in check.reason
    with pytest.raises(KeyError, match="majority"):
        judge({"metric": "auc", "better_than": "majority"}, linear)
    failed = judge({"metric": "auc", "minimum": 0.9}, linear)
    assert "more training rows" in failed.try_
    assert "epochs" not in failed.try_
    assert "layers" not in failed.try_


def test_a_missing_baseline_is_never_a_pass() -> None:
    with pytest.raises(KeyError, match="majority"):
        judge({"metric": "auc", "better_than": "majority"})


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
