"""A run whose Score has several instances evaluates as one with a single instance does."""

import subprocess
import sys
from collections.abc import Callable

import pyarrow.parquet as pq
import pytest
import yaml

from sashiko.base.files import walk_files
from sashiko.serving.artifact import ROWS_PER_REQUEST
from tests.e2e.project import Project
from tests.e2e.tiny import make_rows

pytestmark = pytest.mark.slow

_ROWS = 7_000
_HANG_SECONDS = 1200
_RUN = """
import sys
from pathlib import Path
from sashiko.pipeline.local_run import run_pipeline
from sashiko.settings.environment import load_settings
from sashiko.settings.recipe import load_recipe
recipe = load_recipe(Path("recipes/tiny.yaml"), overrides=["data.train_rows=64"])
record = run_pipeline(load_settings("local"), recipe, home=Path(".sashiko").resolve(),
                      from_step=sys.argv[1] or None, command="sashiko run", until="Evaluate")
sys.exit(record.exit_code)
"""


def evaluate(project: Project, *, from_step: str = "") -> dict[str, bytes]:
    """Runs the pipeline up to Evaluate, and returns what that writes."""
    done = subprocess.run(
        [sys.executable, "-c", _RUN, from_step],
        cwd=project.root, capture_output=True, text=True, check=False, timeout=_HANG_SECONDS,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return {
        f"{name}/{path.name}": path.read_bytes()
        for name in ("predictions", "metrics", "decision", "verdict")
        for path in walk_files(project.output("Evaluate", name))
    }


def test_two_processes_give_the_bytes_of_one(new_project: Callable[[], Project]) -> None:
    project = new_project()
    make_rows(project.root / "rows.parquet", rows=_ROWS)
    one = evaluate(project)
    assert len(list(project.output("Score", "scores").glob("candidate-*"))) == 1

    file = project.root / "config/local.yaml"
    settings = yaml.safe_load(file.read_text()) | {"jobs": {"scoring": {"instance_count": 2}}}
    file.write_text(yaml.safe_dump(settings))
    assert evaluate(project, from_step="Score") == one
    parts = [
        pq.read_metadata(path).num_rows
        for path in project.output("Score", "scores").glob("candidate-*")
    ]
    assert len(parts) == 2
    assert min(parts) >= ROWS_PER_REQUEST
