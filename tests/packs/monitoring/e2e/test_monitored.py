"""A served model is monitored: quiet weeks, labels of drawn rows, and a week with a shift."""

import csv
import datetime as dt
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
import yaml

from tests.e2e.project import GROUP, RUN, Attempt, Project

_WEEK = dt.timedelta(days=7)
_ROWS_PER_WEEK = 200
_PLAN = {
    "weeks": 3,
    "rows_per_week": _ROWS_PER_WEEK,
    "shifts": [{"kind": "covariate", "size": 0.8, "week": 3}],
}


@dataclass(frozen=True)
class Weeks:
    """A project whose champion has answered the rows of some weeks."""

    project: Project
    file: Path  # the rows, with labels and facets
    start: dt.datetime  # of the first week
    replay: Attempt

    def end_of(self, week: int) -> str:
        """Returns the end of a week, from 1, as an option takes it."""
        return (self.start + week * _WEEK).isoformat()

    def judge(self, week: int, *options: str | Path) -> Attempt:
        """Runs `sashiko monitor` at the end of a week."""
        return self.project.sashiko(
            "monitor", "--recipe", "tiny", "--now", self.end_of(week), *options
        )

    def audit(self, week: int, verb: str, *options: str | Path) -> Attempt:
        return self.project.sashiko(
            "monitor", verb, "--recipe", "tiny", "--now", self.end_of(week), *options
        )

    def results(self) -> list[dict[str, Any]]:
        files = self.project.home.rglob("windows/**/monitor.json")
        return sorted(
            (json.loads(file.read_text()) for file in files), key=lambda item: item["end"]
        )


# A whole run and a dozen steps for each window; the steps' own tests run each time.
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def weeks(new_project: Callable[[], Project]) -> Weeks:
    """Three weeks of requests to an approved version, the third one shifted."""
    project = new_project()
    for command in (RUN, ("model", "approve", "1", "--recipe", "tiny", "--reason", "ok")):
        done = project.sashiko(*command)
        assert done.returncode == 0, done.stderr
    plan, file = project.root / "plan.yaml", project.root / "weeks.parquet"
    plan.write_text(yaml.safe_dump(_PLAN))
    generated = project.sashiko(
        "data", "generate", file, "--rows", "1200", "--seed", "3", "--plan", plan
    )
    assert generated.returncode == 0, generated.stderr
    times = pq.read_table(file, columns=["received_at"])["received_at"]
    start = pc.min(times.slice(1200)).as_py().replace(tzinfo=dt.UTC)
    start = start.replace(hour=0, minute=0, second=0, microsecond=0)
    replay = project.sashiko(
        "model", "replay", file, "--recipe", "tiny", "--since", start.isoformat()
    )
    replayed = Weeks(project, file, start, replay)
    assert f"{GROUP} version 1 answered 600 requests" in replayed.replay.stdout
    return replayed


def test_a_quiet_week_raises_no_alarm(weeks: Weeks) -> None:
    done = weeks.judge(1)
    assert done.returncode == 0, done.stdout + done.stderr
    headline, *_ = done.stdout.splitlines()
    assert headline.startswith("! No alarm - bias and accuracy not judged")
    assert "not judged: accuracy of audited rows: 0 audited labels, 100 are needed" in done.stdout
    assert "retraining: not now: there is no alarm" in done.stdout
    [result] = weeks.results()
    assert (result["outcome"], result["capture"]["rows"]) == ("partly judged", 200)
    assert (weeks.project.home / f"monitor/{GROUP}.html").is_file()


def test_labels_of_drawn_rows_judge_the_model(weeks: Weeks, tmp_path: Path) -> None:
    drawn = weeks.audit(1, "sample", "--rows", "120", "--out", tmp_path / "sheet.csv")
    assert drawn.returncode == 0, drawn.stderr
    keys = {row["complaint_id"] for row in csv.DictReader((tmp_path / "sheet.csv").open())}
    assert len(keys) == 120
    labelled = weeks.judge(2, "--labels", weeks.file)
    assert labelled.returncode == 0, labelled.stdout + labelled.stderr
    quality = weeks.results()[-1]["quality"]
    [period] = quality["periods"]
    labels = {row["complaint_id"]: row["escalate"] for row in pq.read_table(weeks.file).to_pylist()}
    days = list(
        weeks.project.home.glob("monitor/s3/*snapshots*/monitor/*/ledger/????-??-??.parquet")
    )
    rows = pa.concat_tables(pq.read_table(day) for day in days).to_pylist()
    answers = {row["key"]: row["decision"] for row in rows}
    right = sum(answers[key] == labels[key] for key in keys)
    counts = period["labelled"]
    assert (period["state"], sum(counts.values())) == ("complete", 120)
    assert counts["true_positives"] + counts["true_negatives"] == right
    assert quality["checks"][0]["rows"] == 120


def test_a_shifted_week_raises_an_alarm_and_proposes_to_train_again(weeks: Weeks) -> None:
    done = weeks.judge(3)
    assert done.returncode == 4, done.stdout + done.stderr
    assert "alarm: drift of product" in done.stdout
    assert "retraining: proposed (alarm: drift of product" in done.stdout
    assert done.stdout.count("sashiko run --recipe tiny") == 1
    assert weeks.project.versions() == [1]  # nothing was started


def test_a_dead_capture_is_an_alarm_after_weeks_of_good_audits(weeks: Weeks) -> None:
    done = weeks.judge(5)
    assert done.returncode == 4, done.stdout + done.stderr
    headline, *_ = done.stdout.splitlines()
    assert headline.startswith("✕ Alarm - inputs, drift, bias and accuracy not judged")
    assert "alarm: captured requests, in alarm since" in done.stdout
    assert "next: " not in done.stdout  # nobody draws rows of nothing


def test_a_damaged_capture_is_an_alarm_and_says_what_is_lost(weeks: Weeks) -> None:
    files = sorted((weeks.project.home / "capture").rglob("*.jsonl"))
    before = {file: file.read_bytes() for file in files}
    try:
        for file, content in before.items():
            lines = content.splitlines()
            cut = [line[:40] if number % 2 else line for number, line in enumerate(lines)]
            file.write_bytes(b"\n".join([*cut, b'{"cut', b""]))
        done = weeks.judge(1)
    finally:
        for file, content in before.items():
            file.write_bytes(content)
    assert done.returncode == 4, done.stdout + done.stderr
    assert "alarm: captured lines are whole, in alarm since" in done.stdout
    assert re.search(r"lines could not be used: cut-line \d+", done.stdout)
    assert weeks.judge(1).returncode == 0


def test_printed_commands_keep_the_window(weeks: Weeks) -> None:
    done = weeks.judge(1, "--window", "6d")
    now = f"--window 6d --now {weeks.end_of(1)}"
    printed = [line for line in done.stdout.splitlines() if line.startswith("next: ")]
    assert printed
    assert all(now in line for line in printed)


def test_a_captured_request_is_deleted_alone(weeks: Weeks) -> None:
    (key,) = pq.read_table(weeks.file)["complaint_id"].slice(1200, 1).to_pylist()
    done = weeks.project.sashiko("monitor", "forget", key, "--recipe", "tiny")
    assert "1 captured requests" in done.stdout, done.stdout + done.stderr
    captured = (weeks.project.home / "capture").rglob("*.jsonl")
    assert not [file for file in captured if key.encode() in file.read_bytes()]
    assert weeks.project.versions() == [1]


def test_monitoring_keeps_no_text_and_tells_no_key(weeks: Weeks) -> None:
    rows = pq.read_table(weeks.file).slice(1200).to_pylist()
    kept = [path for path in (weeks.project.home / "monitor").rglob("*") if path.is_file()]
    shown = b"".join(
        path.read_bytes() for path in kept if path.suffix in (".html", ".json", ".log")
    )
    everything = b"".join(path.read_bytes() for path in kept)
    assert not [
        row["complaint_text"] for row in rows if row["complaint_text"].encode() in everything
    ]
    assert not [row["complaint_id"] for row in rows if row["complaint_id"].encode() in shown]
