import pytest

from tests.unit.registry.model_packages.account import opened
from tests.unit.registry.model_packages.gathered import gather
from tests.unit.registry.preflight.registered import registered, write_evidence


@pytest.fixture
def account():
    with opened() as account:
        yield account


@pytest.fixture
def model(tmp_path):
    """What Register gathers of a run."""
    return gather(tmp_path)


@pytest.fixture
def version(account, tmp_path):
    return registered(account, write_evidence(tmp_path))
