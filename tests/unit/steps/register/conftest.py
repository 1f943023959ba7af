"""A Register job, and the account that it registers in."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from sashiko.steps import registries
from tests.unit.registry.model_packages.account import Account, opened
from tests.unit.steps.register_job import RegisterJob


@pytest.fixture
def job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RegisterJob:
    register_job = RegisterJob(tmp_path)
    monkeypatch.setenv("OPT_ML", str(register_job.root))
    return register_job


@pytest.fixture
def account(monkeypatch: pytest.MonkeyPatch) -> Iterator[Account]:
    with opened() as account:
        monkeypatch.setattr(registries, "connect", lambda: account.clients)
        yield account
