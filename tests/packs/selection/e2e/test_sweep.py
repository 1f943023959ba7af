"""A sweep is stopped, taken up again, and chosen from; what it shares with runs, and what not."""

import json
import shlex
import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.e2e.project import RUN, Attempt, Project

pytestmark = pytest.mark.slow

SWEEP = (*RUN, "--sweep", "--strengths", "0,1")
UP_TO_THE_MODEL = {
    "Snapshot", "SnapshotFacets", "Validate", "ValidateFacets", "DataGate",
    "Prepare", "Weights", "Train", "Compile",
}  # fmt: skip


@dataclass(frozen=True)
class Swept:
    """A project whose first sweep was stopped while it trained, and its second one was not."""

    project: Project
    stopped: Attempt
    done: Attempt

    @property
    def record(self) -> dict[str, Any]:
        """What the first sweep wrote."""
        path: Path = min(self.project.home.glob("sweeps/*/sweep.json"))
        return json.loads(path.read_text())


@pytest.fixture(scope="module")
def swept(new_project: Callable[[], Project]) -> Swept:
    project = new_project()
    stopped = project.signal_while_training(signal.SIGINT, *SWEEP[len(RUN) :])
    return Swept(project, stopped, project.sashiko(*SWEEP))


@pytest.fixture(scope="module")
def chosen(swept: Swept) -> Attempt:
    return swept.project.sashiko(*shlex.split(swept.record["command"])[1:])


def test_ctrl_c_stops_it_and_the_same_command_takes_it_up(swept: Swept) -> None:
    assert (swept.stopped.returncode, swept.stopped.stdout) == (130, "")
    assert "Traceback" not in swept.stopped.stderr
    assert swept.done.returncode == 0, swept.done.stderr
    log = swept.project.home / "runs" / swept.project.runs()[1] / "logs/Train.log"
    assert "resuming after step" in log.read_text()


def test_it_trains_once_per_strength_shares_the_rest_and_goes_no_further(swept: Swept) -> None:
    project, record = swept.project, swept.record
    assert [point["strength"] for point in record["points"]] == [0, 1]
    first, second = (point["run"] for point in record["points"])
    for run in (first, second):
        assert set(project.statuses(run)) == UP_TO_THE_MODEL
        assert project.run_record(run)["status"] == "partial"
    ran = {name for name, status in project.statuses(second).items() if status == "succeeded"}
    assert ran == {"Snapshot", "SnapshotFacets", "DataGate", "Weights", "Train", "Compile"}
    assert project.versions() == []
    assert not list(project.home.glob("s3/**/predictions.parquet"))  # the test split is not scored


def test_it_says_what_to_take_and_where_the_picture_is(swept: Swept) -> None:
    out, record = swept.done.stdout, swept.record
    assert "customer_gender=female" in out
    assert "recommended" in out
    assert record["command"] in out
    page = out.rpartition("report: ")[2].strip()
    html = (swept.project.root / page).read_text()
    assert "Balanced accuracy against Disparate impact (DI): customer_gender=female" in html
    assert html.count("<svg") >= 1


def test_a_strength_that_has_run_is_not_trained_again(swept: Swept) -> None:
    project = swept.project
    again = project.sashiko(*SWEEP, "--json")
    assert again.returncode == 0, again.stderr
    other = json.loads(again.stdout)
    for ours, theirs in zip(swept.record["points"], other["points"], strict=True):
        assert project.step("Train", run=theirs["run"])["status"] == "cached"
        assert project.step("Compile", run=theirs["run"])["status"] == "cached"
        assert ours | {"run": ""} == theirs | {"run": ""}
    assert "scored" not in again.stderr


def test_other_test_rows_change_nothing(swept: Swept) -> None:
    """Training and validation rows stay as they are: what a sweep finds must too."""
    project = swept.project
    rows = pq.read_table(project.root / "rows.parquet")
    first = pq.read_table(project.output("Prepare", "test") / "data.parquet")["key"].to_pylist()
    texts = [
        f"another text {key}" if key in set(first) else text
        for key, text in zip(
            map(str, rows["complaint_id"].to_pylist()),
            rows["complaint_text"].to_pylist(),
            strict=True,
        )
    ]
    place = rows.column_names.index("complaint_text")
    pq.write_table(
        rows.set_column(place, "complaint_text", pa.array(texts)), project.root / "other.parquet"
    )
    before = project.step("Prepare")["outputs"]
    done = project.sashiko(
        *SWEEP, "--json", "--set", "data.sources=[{kind: file, path: other.parquet}]"
    )
    assert done.returncode == 0, done.stderr
    after = project.step("Prepare")["outputs"]
    assert before["test"]["sha256"] != after["test"]["sha256"]
    other, ours = json.loads(done.stdout), swept.record
    for record in (other, ours):
        for point in (record["chosen"], *record["points"]):
            point.pop("run")
    assert (other["points"], other["chosen"]) == (ours["points"], ours["chosen"])


def test_the_recommended_run_takes_the_model_from_the_sweep(swept, chosen):
    project = swept.project
    assert chosen.returncode == 0, chosen.stderr
    assert project.versions() == [1]
    train = project.step("Train")
    assert train["status"] == "cached"
    record = swept.record
    decision = json.loads((project.output("Evaluate", "decision") / "decision.json").read_text())
    assert decision["threshold"] == pytest.approx(record["chosen"]["threshold"], abs=1e-6)
    logs = project.sashiko("runs", "logs", "Train")
    assert logs.returncode == 0, logs.stderr
    assert "step" in logs.stdout


def test_a_sweeps_runs_do_not_pass_for_the_newest_whole_one(swept: Swept, chosen: Attempt) -> None:
    project = swept.project
    whole = project.runs()[-1]
    assert project.sashiko(*SWEEP).returncode == 0
    shown = json.loads(project.sashiko("runs", "show", "--json").stdout)
    assert shown["id"] == whole
    listed = project.sashiko("runs", "list").stdout
    assert listed.count("  partial") >= 2
    verified = project.sashiko("runs", "verify", project.runs()[-1])
    assert verified.returncode == 0, verified.stdout + verified.stderr
