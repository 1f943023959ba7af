"""Definitions as the SageMaker SDK builds them."""

import json
import subprocess
import sys
from typing import Any

import pytest

from tests.pipeline.every_definition import ROOT


@pytest.fixture(scope="session")
def compiled() -> dict[str, Any]:
    """Every environment and recipe, a fork's too, and every choice, built in one process."""
    completed = subprocess.run(
        [sys.executable, "tests/pipeline/every_definition.py"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    return json.loads(completed.stdout)
