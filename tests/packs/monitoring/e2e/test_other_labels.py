"""Labels of more than two classes, and numbers: a quiet week, labels of drawn rows, and a shift."""

import csv
import datetime as dt
import json
import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.e2e.project import Attempt, Project
from tests.e2e.tiny import copy_repository

pytestmark = pytest.mark.slow

_START, _WEEK = dt.datetime(2026, 8, 3, tzinfo=dt.UTC), dt.timedelta(days=7)
_ROWS = 400  # a week
_KINDS = {
    "days-linear": ("days", "days_left", "product", "predicted values"),
    "tickets-linear": ("tickets", "desk", "desk", "predicted classes"),
}


@dataclass(frozen=True)
class Weeks:
    """A project whose champion has answered two weeks, the second one of mortgages alone."""

    project: Project
    recipe: str
    file: Path  # the rows, with labels and facets

    def monitor(self, *arguments: str | Path, week: int) -> Attempt:
        now = (_START + week * _WEEK).isoformat()
        return self.project.sashiko("monitor", *arguments, "--recipe", self.recipe, "--now", now)

    def result(self) -> dict[str, Any]:
        files = self.project.home.rglob("windows/**/monitor.json")
        return max((json.loads(file.read_text()) for file in files), key=lambda item: item["end"])


@pytest.fixture(scope="module", params=[*_KINDS])
def weeks(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Weeks:
    recipe = request.param
    generator, _, column, _ = _KINDS[recipe]
    project = copy_repository(tmp_path_factory.mktemp("weeks") / "repository")
    made = project.root / "made.parquet"
    for command in (
        ("run", "--recipe", recipe),
        ("model", "approve", "1", "--recipe", recipe, "--reason", "ok"),
        ("data", "generate", made, "--rows", "30000", "--seed", "12", "--generator", generator),
    ):
        done = project.sashiko(*command)
        assert done.returncode == 0, done.stderr
    rows = [row for row in pq.read_table(made).to_pylist() if row["received_at"].year == 2026]
    dice = random.Random(3)  # noqa: S311 - rows, no secrets
    mortgages = [row for row in rows if row[column] == "Mortgage"]
    chosen = dice.sample(rows, _ROWS) + dice.sample(mortgages, _ROWS)
    for place, row in enumerate(chosen):
        row["received_at"] = _START + place * _WEEK / _ROWS
        row["complaint_id"] = f"C{90_000_000 + place}"
    file = project.root / "weeks.parquet"
    pq.write_table(pa.Table.from_pylist(chosen, schema=pq.read_schema(made)), file)
    replay = project.sashiko("model", "replay", file, "--recipe", recipe, "--since", "2026-08-03")
    assert f"answered {2 * _ROWS} requests" in replay.stdout, replay.stderr
    return Weeks(project, recipe, file)


def test_a_quiet_week_raises_no_alarm(weeks: Weeks) -> None:
    done = weeks.monitor(week=1)
    assert done.returncode == 0, done.stdout + done.stderr
    outcomes = {check["name"]: check["outcome"] for check in weeks.result()["checks"]}
    assert outcomes[f"drift of the {_KINDS[weeks.recipe][3]}"] == "ok"
    assert outcomes["accuracy of audited rows"] == "not judged"


def test_labels_of_drawn_rows_judge_the_model_and_a_shift_is_an_alarm(weeks: Weeks) -> None:
    _, column, _, drifted = _KINDS[weeks.recipe]
    sheet = weeks.project.root / "sheet.csv"
    drawn = weeks.monitor("sample", "--rows", "150", "--out", sheet, week=1)
    assert drawn.returncode == 0, drawn.stderr
    labels = {row["complaint_id"]: row[column] for row in pq.read_table(weeks.file).to_pylist()}
    rows = list(csv.DictReader(sheet.open()))
    with sheet.open("w", newline="") as handle:
        writer = csv.DictWriter(handle, list(rows[0]))
        writer.writeheader()
        writer.writerows(row | {column: labels[row["complaint_id"]]} for row in rows)
    labelled = weeks.monitor("label", sheet, week=2)
    assert "150 new labels of 150 rows" in labelled.stderr
    done = weeks.monitor(week=2)
    assert done.returncode == 4, done.stdout + done.stderr
    assert f"alarm: drift of the {drifted}" in done.stdout
    assert "retraining: " in done.stdout
    quality = weeks.result()["quality"]
    ledger = weeks.project.home.glob("monitor/s3/*snapshots*/monitor/*/ledger/????-??-??.parquet")
    answers = {row["key"]: row for row in pa.concat_tables(map(pq.read_table, ledger)).to_pylist()}
    keys = [row["complaint_id"] for row in rows]
    if column == "desk":
        right = sum(answers[key]["decision"] == labels[key] for key in keys)
    else:
        right = sum((answers[key]["decision"] == "above 0") == (labels[key] > 0) for key in keys)
        cap = quality["labels"]["number"]["cap"]
        errors = [min(abs(answers[key]["score"] - labels[key]), cap) for key in keys]
        name = "capped mean absolute error"
        (error,) = (one for one in quality["measures"] if one["name"] == name)
        assert (error["rows"], error["value"]) == (150, pytest.approx(sum(errors) / 150))
        assert error["low"] < error["reference"] < error["high"]
    assert quality["since_deploy"]["value"] == pytest.approx(right / 150)
    (page,) = (weeks.project.home / "monitor").glob("*.html")
    name = "Recall of the worst class" if column == "desk" else "Mean absolute error"
    assert name in page.read_text()
