"""A run whose Score has several instances ends as one with a single instance does."""

from collections.abc import Callable

import pyarrow.parquet as pq
import pytest
import yaml

from sashiko.core.files import walk_files
from sashiko.serving.artifact import ROWS_PER_REQUEST
from tests.e2e.project import RUN, Project
from tests.e2e.tiny import make_rows

pytestmark = pytest.mark.slow

_ROWS, _TRAIN_ROWS = 7_000, 64
_SCORED = (*RUN, "--set", f"data.train_rows={_TRAIN_ROWS}")


def evaluation(project: Project) -> dict[str, bytes]:
    return {
        f"{name}/{path.name}": path.read_bytes()
        for name in ("predictions", "metrics", "decision", "verdict")
        for path in walk_files(project.output("Evaluate", name))
    }


def test_two_processes_give_the_bytes_of_one(new_project: Callable[[], Project]) -> None:
    project = new_project()
    make_rows(project.root / "rows.parquet", rows=_ROWS)
    assert (attempt := project.sashiko(*_SCORED)).returncode == 0, attempt.stderr
    assert len(list(project.output("Score", "scores").glob("candidate-*"))) == 1
    one = evaluation(project)

    file = project.root / "config/local.yaml"
    settings = yaml.safe_load(file.read_text()) | {"jobs": {"scoring": {"instance_count": 2}}}
    file.write_text(yaml.safe_dump(settings))
    assert (attempt := project.sashiko(*_SCORED, "--from", "Score")).returncode == 0, attempt.stderr
    parts = [
        pq.read_metadata(path).num_rows
        for path in project.output("Score", "scores").glob("candidate-*")
    ]
    assert len(parts) == 2
    assert min(parts) >= ROWS_PER_REQUEST
    assert evaluation(project) == one
