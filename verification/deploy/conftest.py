"""An emulator for each test file, and jsii's settings for synthesis."""

import os
from collections.abc import Iterator

import pytest

from verification.deploy.parts import ACCOUNT
from verification.deploy.process import Emulator, running
from verification.deploy.stacks import Stacks

# CDK's own check of every template takes 4 s; tests/infra runs it.
os.environ["CDK_VALIDATION"] = "false"
os.environ["JSII_SILENCE_WARNING_END_OF_LIFE_NODE_VERSION"] = "20"


@pytest.fixture(scope="module")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    with running(ACCOUNT, tmp_path_factory.mktemp("home")) as instance:
        yield instance


@pytest.fixture
def stacks(emulator: Emulator) -> Stacks:
    return Stacks(emulator)
