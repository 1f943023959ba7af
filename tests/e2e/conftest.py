"""Projects for the end-to-end tests: each is a throwaway copy of the repository.

Run them in one process: they share a few costly runs.
"""

import signal
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.e2e.project import (
    RUN,
    Attempt,
    Project,
    Story,
    finish,
    no_large_files,
    wait_for,
)
from tests.e2e.tiny import make_encoder, make_project, make_rows


@pytest.fixture(scope="session")
def rows(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The raw data of every project."""
    path = tmp_path_factory.mktemp("rows") / "rows.parquet"
    make_rows(path, rows=1200)
    return path


@pytest.fixture(scope="session")
def new_project(tmp_path_factory: pytest.TempPathFactory, rows: Path) -> Callable[[], Project]:
    """Makes projects that have never run."""
    encoder = tmp_path_factory.mktemp("encoder")
    texts = pq.read_table(rows, columns=["complaint_text"])["complaint_text"].to_pylist()
    make_encoder(encoder, texts)

    def make() -> Project:
        root = tmp_path_factory.mktemp("project") / "repository"
        return make_project(root, encoder=encoder, rows=rows)

    return make


@pytest.fixture(scope="session")
def story(new_project: Callable[[], Project]) -> Story:
    """Four runs of one project, as each costs seconds."""
    project = new_project()
    left = {}
    full_disk = project.sashiko(*RUN, preexec=no_large_files)
    left["full disk"] = project.left_behind()
    killed = project.signal_while_training(signal.SIGKILL)
    left["killed"] = project.left_behind()
    stopped = project.signal_while_training(signal.SIGINT)
    left["stopped"] = project.left_behind()
    with project.running(*RUN) as process:
        wait_for(lambda: "running" in project.statuses().values(), process, "the first step")
        refused = {"run": project.sashiko(*RUN), "clean": project.sashiko("clean")}
        registered = finish(process)
    return Story(
        project=project,
        full_disk=full_disk,
        killed=killed,
        stopped=stopped,
        left=left,
        registered=registered,
        pid=process.pid,
        refused=refused,
        runs=project.runs(),
    )


@pytest.fixture(scope="session")
def registered(story: Story) -> Project:
    """A project that has registered a version."""
    assert story.registered.returncode == 0, story.registered.stderr
    return story.project


@pytest.fixture(scope="session")
def unchanged(registered: Project) -> Attempt:
    """The run after the first registration, of which nothing has changed."""
    return registered.sashiko(*RUN, "--json")
