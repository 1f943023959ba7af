from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.registry.model_packages.account import Account, opened
from tests.unit.registry.preflight.registered import Version, registered, write_evidence


@pytest.fixture
def account() -> Iterator[Account]:
    with opened() as account:
        yield account


@pytest.fixture
def version(account: Account, tmp_path: Path) -> Version:
    """One that may be served."""
    return registered(account, write_evidence(tmp_path))
