"""An emulator for each file of tests, and how jsii is to behave while they synthesize."""

import os
from collections.abc import Iterator

import pytest

from tests.deploy.parts import ACCOUNT
from tests.deploy.process import Emulator, running
from tests.deploy.stacks import Stacks

_LONGEST = ("test_adoption", "test_audit", "test_life_cycle", "test_serving_life")
# CDK's own check of every template takes 4 s; tests/infra runs it.
os.environ["CDK_VALIDATION"] = "false"
os.environ["JSII_SILENCE_WARNING_END_OF_LIFE_NODE_VERSION"] = "20"


@pytest.fixture(scope="module")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    with running(ACCOUNT, tmp_path_factory.mktemp("home")) as found:
        yield found


@pytest.fixture
def stacks(emulator: Emulator) -> Stacks:
    return Stacks(emulator)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begins with the files that take longest, so that no process ends with one of them alone."""
    items.sort(key=lambda item: item.path.stem not in _LONGEST)
