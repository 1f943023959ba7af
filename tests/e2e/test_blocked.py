"""Gates that close: exit status 3, nothing registered, and a reason that helps."""

import json

import pytest

from tests.e2e.project import Attempt, Refusals

pytestmark = pytest.mark.xdist_group("refusals")


def test_bad_rows_stop_the_run_before_anything_else(refusals: Refusals) -> None:
    done = refusals.bad_rows
    assert done.returncode == 3, done.stderr
    statuses = refusals.project.statuses(refusals.runs[1])
    assert statuses["DataGateClosed"] == "blocked"
    assert {statuses[name] for name in ("Prepare", "PreBias", "Train", "Register")} == {"skipped"}


def test_the_message_names_columns_and_rules(refusals: Refusals) -> None:
    for text in ("complaint_id", "unique", "escalate", "perhaps"):
        assert text in refusals.bad_rows.stdout
    assert "Traceback" not in refusals.bad_rows.stderr


def test_a_biased_model_is_not_registered(refusals: Refusals) -> None:
    assert refusals.biased.returncode == 3, refusals.biased.stderr
    statuses = refusals.project.statuses(refusals.runs[2])
    assert (statuses["ModelGateClosed"], statuses["Register"]) == ("blocked", "skipped")
    assert refusals.versions == []


def test_the_message_names_check_number_interval_and_what_to_try(refusals: Refusals) -> None:
    folder = refusals.project.output("JudgeBias", "verdict", run=refusals.runs[2])
    [check] = json.loads((folder / "verdict.json").read_text())["checks"]
    out = refusals.biased.stdout
    assert out.startswith("blocked: run ")
    for text in (
        "DI customer_gender=female",
        f"{check['value']:.4g}",
        f"{check['low']:.4g}",
        f"{check['high']:.4g}",
        "a strict rule",
        "raise `reweighing.strength`",
    ):
        assert text in out
    assert "Traceback" not in refusals.biased.stderr


def test_the_report_of_a_blocked_run_says_so(refusals: Refusals) -> None:
    html = (refusals.project.home / "runs" / refusals.runs[2] / "report.html").read_text()
    assert "blocked" in html.lower()
    assert "DI customer_gender=female" in html


def test_another_gate_judges_again_and_trains_nothing(refusals: Refusals, good: Attempt) -> None:
    assert good.returncode == 0, good.stderr
    statuses = refusals.project.statuses()
    assert (statuses["Train"], statuses["Evaluate"]) == ("cached", "cached")
    assert (statuses["JudgeBias"], statuses["Register"]) == ("succeeded", "succeeded")
    assert refusals.project.versions() == [1]
