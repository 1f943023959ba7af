"""An alarm leads to one proposal at a time, and to none where a run would come to nothing."""

import datetime as dt
from collections.abc import Callable

import pytest
from pydantic import ValidationError

from sashiko.pipeline.candidates import Candidate, State
from sashiko_packs.monitoring.audited import AuditedMeasure, LabelSummary, Quality
from sashiko_packs.monitoring.capture.record import CaptureSummary
from sashiko_packs.monitoring.checks import Kind, MonitorCheck, Outcome
from sashiko_packs.monitoring.result import LabelFreeAccuracy, MonitorResult
from sashiko_packs.monitoring.retraining import Retraining, decide_retraining
from sashiko_packs.monitoring.settings import MonitorSection

NOW = dt.datetime(2026, 6, 1, tzinfo=dt.UTC)
WEEK = dt.timedelta(days=7)
Decide = Callable[..., Retraining]


def check(
    name: str = "drift of product", outcome: Outcome = "alarm", *, kind: Kind = "drift"
) -> MonitorCheck:
    return MonitorCheck(
        name=name, kind=kind, outcome=outcome, rows=500, rows_needed=100, effect="Cohen's w",
        tolerance=0.1, reason="changed by more than the tolerance",
    )  # fmt: skip


def result(*checks: MonitorCheck, labels: int = 1000, end: dt.datetime = NOW) -> MonitorResult:
    nothing = AuditedMeasure(
        name="accuracy", rows=0, value=None, low=None, high=None, worst=None, best=None,
        reference=0.8,
    )  # fmt: skip
    summary = LabelSummary(
        version=4, periods=(), ordinary_right=0, ordinary_wrong=0, waiting=0, known=labels,
        duplicated=0, corrected=0, unknown=0,
    )  # fmt: skip
    quality = Quality(
        checks=(check("accuracy of audited rows", "ok"),), periods=(), since_deploy=nothing,
        measures=(), ordinary_rows=0, ordinary_accuracy=None, labels=summary,
    )  # fmt: skip
    capture = CaptureSummary(
        start=end - WEEK, end=end, files=1, lines=1, requests=1, rows=1, versions=(), problems=()
    )
    return MonitorResult(
        group="loans", version=4, recipe="loans", start=end - WEEK, end=end, outcome="alarm",
        summary="", alarms=(), checks=checks or (check(),), capture=capture, distributions=(),
        disparities=None, without_facets=None, quality=quality,
        label_free=LabelFreeAccuracy(value=None), reference_accuracy=0.8, reference_sha256="0",
    )  # fmt: skip


@pytest.fixture
def decide() -> Decide:
    def run(
        *candidates: Candidate, of: MonitorResult | None = None, **settings: object
    ) -> Retraining:
        section = MonitorSection(**settings)
        return decide_retraining(section, of or result(), candidates, now=NOW)

    return run


def weeks_ago(weeks: int, state: State, *, is_better: bool = False) -> Candidate:
    return Candidate(start=NOW - weeks * WEEK, state=state, is_better=is_better)


def test_an_alarm_is_proposed_unless_the_recipe_says_otherwise(decide: Decide) -> None:
    assert decide().action == "propose"
    assert decide().reasons == ("alarm: drift of product",)
    assert decide(retrain="off").action == "none"


def test_a_window_without_an_alarm_leads_to_nothing(decide: Decide) -> None:
    assert decide(of=result(check(outcome="ok"), check(outcome="not judged"))).action == "none"


def test_a_recipe_that_says_start_is_told_what_to_write() -> None:
    with pytest.raises(ValidationError, match=r"`start` was removed.* Write `propose`"):
        MonitorSection(retrain="start")


@pytest.mark.parametrize(
    ("candidates", "reason"),
    [
        ([weeks_ago(20, "running")], "is being trained"),
        ([weeks_ago(20, "waiting", is_better=True)], "waits for approval"),
        ([weeks_ago(1, "failed")], "is younger than 28 days"),
        ([weeks_ago(20, "approved"), weeks_ago(1, "approved")], "is younger than 28 days"),
        ([weeks_ago(weeks, "failed") for weeks in (10, 20, 30)], "3 candidates in a year"),
        ([weeks_ago(30, "blocked"), weeks_ago(20, "rejected")], "the last 2 candidates"),
    ],
)
def test_a_guard_says_what_speaks_against_a_run(decide, candidates, reason) -> None:
    decision = decide(*candidates)
    assert decision.action == "none"
    assert any(reason in text for text in decision.reasons)


def test_a_failed_run_between_two_blocked_ones_does_not_reset_the_breaker(decide: Decide) -> None:
    candidates = (weeks_ago(50, "blocked"), weeks_ago(40, "failed"), weeks_ago(30, "blocked"))
    decision = decide(*candidates, retrain_most_per_year=10)
    assert "the last 2 candidates" in decision.reasons[0]


def test_too_few_new_labels_are_no_reason_to_train(decide: Decide) -> None:
    [reason] = decide(of=result(labels=499)).reasons
    assert reason == "499 new labels, 500 are needed"
    assert decide(of=result(labels=500)).action == "propose"


@pytest.mark.parametrize(
    ("checks", "reason"),
    [
        ([check("inputs: product is known", kind="inputs"), check()], "mend what sends them"),
        ([check("captured lines are whole", kind="capture"), check()], "dead or damaged"),
        ([check("disparate impact of age", kind="bias")], "answers for fairness"),
    ],
    ids=["inputs", "capture", "bias alone"],
)
def test_an_alarm_with_another_cause_proposes_no_run(decide, checks, reason) -> None:
    decision = decide(of=result(*checks))
    assert decision.action == "none"
    assert reason in decision.reasons[0]


def test_bias_beside_a_fall_of_accuracy_proposes_a_run(decide: Decide) -> None:
    accuracy = check("accuracy of audited rows", kind="accuracy")
    bias = check("disparate impact of age", kind="bias")
    assert decide(of=result(bias, accuracy)).action == "propose"


def test_an_approved_version_that_is_not_served_yet_is_not_fruitless(decide: Decide) -> None:
    assert decide(weeks_ago(20, "approved"), weeks_ago(10, "approved")).action == "propose"


def test_a_waiting_version_that_is_no_better_counts_as_fruitless(decide: Decide) -> None:
    decision = decide(weeks_ago(20, "blocked"), weeks_ago(10, "waiting"))
    assert any("the last 2 candidates" in reason for reason in decision.reasons)
    decision = decide(weeks_ago(20, "blocked"), weeks_ago(10, "waiting", is_better=True))
    assert not any("the last 2 candidates" in reason for reason in decision.reasons)


@pytest.mark.parametrize(("state", "most"), [("rejected", 2), ("approved", 3)])
def test_an_alarm_that_never_ends_proposes_three_runs_a_year_at_most(state, most) -> None:
    """Also where each run gives a version that is approved and served at once."""
    candidates: list[Candidate] = []
    for week in range(52):
        now = NOW + week * WEEK
        decision = decide_retraining(MonitorSection(), result(end=now), candidates, now=now)
        if decision.action == "propose":
            candidates.append(Candidate(start=now, state=state))
    assert len(candidates) == most


def test_no_sender_of_bad_rows_holds_back_a_model_that_the_audit_shows_to_be_needed(decide) -> None:
    broken, audit = check("inputs: rule", kind="inputs"), check("accuracy", kind="accuracy")
    assert decide(of=result(broken)).action == "none"
    assert decide(of=result(broken, audit)).action == "propose"
