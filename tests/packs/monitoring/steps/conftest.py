import pytest

from tests.packs.monitoring.steps.window_job import MonitorJob


@pytest.fixture
def job(tmp_path, monkeypatch) -> MonitorJob:
    return MonitorJob(tmp_path, monkeypatch)
