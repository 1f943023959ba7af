"""A job of a bias step, in a test's own folder."""

from pathlib import Path

import pytest

from tests.unit.bias.steps.bias_folders import Job


@pytest.fixture
def job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Job:
    return Job(tmp_path, monkeypatch)
