"""A job of DeviceCheck, and an account on the loopback that answers it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from sashiko.steps.device import batch_transform, endpoint, removal
from tests.unit.steps.device.fake_account import FakeAccount, listening
from tests.unit.steps.device_job import POLL_SECONDS, DeviceJob, answering

CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "a",
    "AWS_SECRET_ACCESS_KEY": "b",
    "AWS_REGION": "eu-west-1",
    "AWS_EC2_METADATA_DISABLED": "true",
}


@pytest.fixture
def job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> DeviceJob:
    monkeypatch.setenv("OPT_ML", str(tmp_path))
    return DeviceJob(tmp_path)


@pytest.fixture
def account(job: DeviceJob, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeAccount]:
    with answering(job.archive) as respond, listening(FakeAccount(respond)) as account:
        for name, value in {**CREDENTIALS, "AWS_ENDPOINT_URL": account.url}.items():
            monkeypatch.setenv(name, value)
        for module in (endpoint, batch_transform, removal):
            monkeypatch.setattr(module, "POLL_SECONDS", POLL_SECONDS)
        yield account
