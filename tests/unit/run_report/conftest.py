"""The page of a registered run, which several tests read."""

import pytest

from tests.unit.run_report import runs
from tests.unit.run_report.page import (
    page_of,
    tab,  # noqa: F401  # a fixture
)


@pytest.fixture(scope="session", autouse=True)
def pictures(drawn):
    """No test here is about the bytes of a picture."""


@pytest.fixture(scope="session")
def registered(tmp_path_factory, pictures):
    return page_of(runs.registered(tmp_path_factory.mktemp("registered")))
