"""Every test begins in the project's root, with the samples that the engine's tests work on."""

import os

import pytest

from tests.project_root import project_root


def pytest_configure(config: pytest.Config) -> None:
    os.chdir(project_root())
