"""Definitions as the SageMaker SDK builds them."""

import fcntl
import json
import os
import subprocess
import sys
from typing import Any

import pytest

from tests.pipeline.every_definition import ROOT


@pytest.fixture(scope="session")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Every environment and recipe, a fork's too, and every choice.

    The first of the test run's processes that asks for them builds them, and the others wait.
    """
    if "PYTEST_XDIST_TESTRUNUID" not in os.environ:
        return json.loads(_build())
    file = tmp_path_factory.getbasetemp().parent / "definitions.json"  # this test run's own
    with file.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not file.is_file():
            file.write_bytes(_build())
    return json.loads(file.read_bytes())


def _build() -> bytes:
    return subprocess.run(
        [sys.executable, "tests/pipeline/every_definition.py"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        check=True,
    ).stdout
