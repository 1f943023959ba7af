from pathlib import Path

import pytest

from sashiko.project.project_upgrade import build_wheel_with_statement
from tests.e2e.scaffold.projects import Project, new
from tests.project_root import REPOSITORY


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The engine's wheel, of this checkout, with its statement beside it."""
    return build_wheel_with_statement(REPOSITORY, tmp_path_factory.mktemp("wheel")).path


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory, wheel: Path) -> Project:
    """A project of the defaults, which nobody changes."""
    folder = tmp_path_factory.mktemp("projects") / "loan-triage"
    done = new(folder, "--defaults", wheel=wheel)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == str(folder)
    return Project(folder)
