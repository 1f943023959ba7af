"""Every test begins in the project's root, with the samples that the engine's tests work on."""

import os
from functools import cache

import botocore.session
import pytest
from hypothesis import settings

from tests.project_root import project_root

# A change is judged by the same values each time; .ci/weekly draws new ones with
# `--hypothesis-profile default`.
settings.register_profile("repeatable", derandomize=True)
settings.load_profile("repeatable")


def pytest_configure(config: pytest.Config) -> None:
    os.chdir(project_root())
    # moto replaces the session in every test; a loader that they share parses the models once.
    botocore.session.create_loader = cache(botocore.session.create_loader)
