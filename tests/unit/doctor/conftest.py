"""Credentials that no account has."""

from collections.abc import Iterable

import pytest

from sashiko.doctor.services import Check, run_check


@pytest.fixture(autouse=True)
def credentials(monkeypatch):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")


def results(checks: Check | Iterable[Check]) -> list[Check]:
    return list(run_check("it", lambda: checks))
