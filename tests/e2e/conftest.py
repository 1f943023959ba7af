"""Projects for the end-to-end tests: each is a throwaway copy of the repository.

Costly runs are shared, so all tests of one project stand in one file: with `--dist loadfile` they
stay in one process, side by side with those of the other project.
"""

import signal
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.e2e.project import (
    EXACT,
    RUN,
    STRICT,
    Attempt,
    Project,
    Refusals,
    Story,
    finish,
    no_large_files,
    wait_for,
)
from tests.e2e.tiny import make_encoder, make_project, make_rows
from tests.e2e.uneven import answer_single_rows_otherwise

# Each takes minutes by itself. A process that begins one last leaves the other without work. By
# itself pytest-xdist begins with the files of most tests: `make test` asks for this order.
LONG_FILES = ("test_comes_through.py", "test_refused.py")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Puts the tests of long files first; within a file the order stays."""
    items.sort(key=lambda item: item.path.name not in LONG_FILES)


@pytest.fixture(scope="session")
def rows(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The raw data of every project."""
    path = tmp_path_factory.mktemp("rows") / "rows.parquet"
    make_rows(path, rows=1200)
    return path


@pytest.fixture(scope="session")
def new_project(tmp_path_factory: pytest.TempPathFactory, rows: Path) -> Callable[[], Project]:
    encoder = tmp_path_factory.mktemp("encoder")
    texts = pq.read_table(rows, columns=["complaint_text"])["complaint_text"].to_pylist()
    make_encoder(encoder, texts)

    def make() -> Project:
        root = tmp_path_factory.mktemp("project") / "repository"
        return make_project(root, encoder=encoder, rows=rows)

    return make


@pytest.fixture(scope="session")
def story(new_project: Callable[[], Project]) -> Story:
    """Two runs of one project, as each costs seconds."""
    project = new_project()
    stopped = project.signal_while_training(signal.SIGINT)
    left = project.left_behind()
    with project.running(*RUN) as process:
        wait_for(lambda: "running" in project.statuses().values(), process, "the first step")
        refused = {"run": project.sashiko(*RUN), "clean": project.sashiko("runs", "clean")}
        registered = finish(process)
    return Story(
        project=project, stopped=stopped, left=left, registered=registered,
        pid=process.pid, refused=refused, runs=project.runs(),
    )  # fmt: skip


@pytest.fixture(scope="session")
def registered(story: Story) -> Project:
    assert story.registered.returncode == 0, story.registered.stderr
    return story.project


@pytest.fixture(scope="session")
def unchanged(registered: Project) -> Attempt:
    """The run after the first registration, of which nothing has changed."""
    return registered.sashiko(*RUN, "--json")


@pytest.fixture(scope="session")
def refusals(new_project: Callable[[], Project]) -> Refusals:
    """Three runs of another project that come to nothing."""
    project = new_project()
    answer_single_rows_otherwise(project)
    # What is kept of the build is a large file too: the disk is to be full in the run itself.
    assert project.sashiko("definition", "--recipe", "tiny").returncode == 0
    full_disk = project.sashiko(*RUN, preexec=no_large_files)
    left = project.left_behind()
    return Refusals(
        project=project, full_disk=full_disk, left=left,
        biased=project.sashiko(*RUN, "--set", STRICT),
        inexact=project.sashiko(*RUN, "--set", EXACT), versions=project.versions(),
        runs=project.runs(),
    )  # fmt: skip


@pytest.fixture(scope="session")
def good(refusals: Refusals) -> Attempt:
    return refusals.project.sashiko(*RUN)
