from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.registry.model_packages.account import Account, opened
from tests.unit.registry.model_packages.gathered import gather


@pytest.fixture
def account() -> Iterator[Account]:
    with opened() as account:
        yield account


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """What Register gathers of a run."""
    return gather(tmp_path)
