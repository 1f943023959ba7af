"""Templates of each variant, synthesized in this process and at most once in it."""

import os
from collections.abc import Callable
from typing import Any

import pytest

from tests.infra.variants import templates_of

# CDK's own check of every template takes 4 s; the tests that are about it turn it on.
os.environ["CDK_VALIDATION"] = "false"
os.environ["JSII_SILENCE_WARNING_END_OF_LIFE_NODE_VERSION"] = "20"
os.environ["JSII_SILENCE_WARNING_UNTESTED_NODE_VERSION"] = "1"


@pytest.fixture(scope="session")
def templates() -> Callable[[str], dict[str, dict[str, Any]]]:
    """`templates("dev")["Identity"]` is a template; variants are those of `variants.py`."""
    return templates_of
