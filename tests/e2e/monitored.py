"""Weeks of replayed requests to a project's champion, with a shift in the third."""

import datetime as dt
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
import pyarrow.parquet as pq
import yaml

from tests.e2e.project import Attempt, Project

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

    def audit(self, week: int, *options: str | Path) -> Attempt:
        """Runs `sashiko monitor audit` at the end of a week."""
        return self.project.sashiko(
            "monitor", "audit", "--recipe", "tiny", "--now", self.end_of(week), *options
        )

    def results(self) -> list[dict[str, Any]]:
        """Returns each window's `monitor.json`, by its end."""
        files = self.project.home.rglob("windows/**/monitor.json")
        return sorted(
            (json.loads(file.read_text()) for file in files), key=lambda item: item["end"]
        )


def replay_weeks(project: Project, *, rows: int, seed: int) -> Weeks:
    """Generates weeks after a project's rows, and has the champion answer them."""
    plan, file = project.root / "plan.yaml", project.root / "weeks.parquet"
    plan.write_text(yaml.safe_dump(_PLAN))
    generated = project.sashiko(
        "data", "generate", file, "--rows", str(rows), "--seed", str(seed), "--plan", plan
    )
    assert generated.returncode == 0, generated.stderr
    times = pq.read_table(file, columns=["received_at"])["received_at"]
    start = pc.min(times.slice(rows)).as_py().replace(tzinfo=dt.UTC)
    start = start.replace(hour=0, minute=0, second=0, microsecond=0)
    replay = project.sashiko(
        "model", "replay", file, "--recipe", "tiny", "--since", start.isoformat()
    )
    return Weeks(project, file, start, replay)
