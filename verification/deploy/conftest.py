"""An emulator for each test file, and jsii's settings for synthesis."""

import os
from collections.abc import Iterator

import pytest

from verification.deploy.process import Emulator, running
from verification.deploy.stacks import ACCOUNT, Stacks

# Each deploys for minutes. A worker that begins one last leaves the others without work.
LONG_FILES = (
    "test_three_accounts.py", "test_hands_off.py", "test_life_cycle.py", "test_serving_life.py",
    "test_run.py", "test_delivery.py", "test_batch_life.py",
)  # fmt: skip

# CDK's own check of every template takes 4 s; tests/infra runs it.
os.environ["CDK_VALIDATION"] = "false"
os.environ["JSII_SILENCE_WARNING_END_OF_LIFE_NODE_VERSION"] = "20"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Puts the tests of long files first; within a file the order stays."""
    items.sort(key=lambda item: item.path.name not in LONG_FILES)


@pytest.fixture(scope="module")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    with running(ACCOUNT, tmp_path_factory.mktemp("home")) as instance:
        yield instance


@pytest.fixture
def stacks(emulator: Emulator) -> Stacks:
    return Stacks(emulator)
