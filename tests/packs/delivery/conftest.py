from collections.abc import Iterator
from pathlib import Path

import pytest
from moto import mock_aws

from tests.packs.delivery.project import Project, new_project
from tests.unit.account import two_accounts


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Project]:
    with mock_aws():
        account = two_accounts._account(two_accounts.DEV, "registrar")
        yield new_project(tmp_path / "clone", account, monkeypatch)
