"""Gates that close: exit status 3, nothing registered, and a reason that helps."""

import json
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.e2e.project import RUN, Attempt, Project, write_csv

STRICT = "bias.gates=[{metric: DI, facet: customer_gender, minimum: 5, reason: a strict rule}]"


@pytest.fixture(scope="module")
def by_bias(registered: Project) -> Attempt:
    before = registered.versions()
    attempt = registered.sashiko(*RUN, "--set", STRICT)
    assert registered.versions() == before
    return attempt


def test_a_biased_model_is_not_registered(registered: Project, by_bias: Attempt) -> None:
    assert by_bias.returncode == 3, by_bias.stderr
    statuses = registered.statuses()
    assert (statuses["ModelGateClosed"], statuses["Register"]) == ("blocked", "skipped")
    # A changed gate judges again and trains nothing.
    assert (statuses["Train"], statuses["Evaluate"]) == ("cached", "cached")
    assert statuses["JudgeBias"] == "succeeded"


def test_the_message_names_check_number_interval_and_what_to_try(
    registered: Project, by_bias: Attempt
) -> None:
    verdict = json.loads((registered.output("JudgeBias", "verdict") / "verdict.json").read_text())
    [check] = verdict["checks"]
    assert by_bias.stdout.startswith("blocked: run ")
    for text in (
        "DI customer_gender=female",
        f"{check['value']:.4g}",
        f"{check['low']:.4g}",
        f"{check['high']:.4g}",
        "a strict rule",
        "raise `reweighing.strength`",
    ):
        assert text in by_bias.stdout
    assert "Traceback" not in by_bias.stderr


def test_the_report_of_a_blocked_run_says_so(registered: Project, by_bias: Attempt) -> None:
    html = (registered.home / "runs" / registered.runs()[-1] / "report.html").read_text()
    assert "blocked" in html.lower()
    assert "DI customer_gender=female" in html


@pytest.fixture(scope="module")
def bad_rows(new_project: Callable[[], Project], rows: Path) -> tuple[Project, Attempt]:
    """A CSV file with a null key, a repeated key and a label that nobody knows."""
    table = pq.read_table(rows).to_pylist()
    table[3]["complaint_id"] = None
    table[5]["complaint_id"] = table[4]["complaint_id"]
    table[6]["escalate"] = "perhaps"
    project = new_project()
    file = write_csv(project.root / "bad.csv", table)
    source = f"data.sources=[{{kind: file, path: {file.name}}}]"
    return project, project.sashiko(*RUN, "--set", source)


def test_bad_rows_stop_the_run_before_anything_else(bad_rows: tuple[Project, Attempt]) -> None:
    project, done = bad_rows
    assert done.returncode == 3, done.stderr
    statuses = project.statuses()
    assert statuses["DataGateClosed"] == "blocked"
    assert {statuses[name] for name in ("Prepare", "PreBias", "Train", "Register")} == {"skipped"}
    assert project.versions() == []


def test_the_message_names_columns_and_rules(bad_rows: tuple[Project, Attempt]) -> None:
    _, done = bad_rows
    for text in ("complaint_id", "unique", "escalate", "perhaps"):
        assert text in done.stdout
    assert "Traceback" not in done.stderr
