"""Definitions as the SageMaker SDK builds them."""

import fcntl
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.pipeline.every_definition import ROOT


class Definitions(dict[str, Any]):
    """Definitions by name; those of the weekly set are built where a test reads one."""

    def __init__(self, folder: Path) -> None:
        super().__init__(_shared(folder, "each-time"))
        self._folder = folder

    def __missing__(self, name: str) -> Any:
        self.update(_shared(self._folder, "weekly"))
        return self[name]


@pytest.fixture(scope="session")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Definitions:
    """Every environment and recipe, a fork's too, and every choice."""
    folder = tmp_path_factory.getbasetemp()
    return Definitions(folder.parent if "PYTEST_XDIST_TESTRUNUID" in os.environ else folder)


def _shared(folder: Path, name: str) -> dict[str, Any]:
    """The first of the test run's processes that asks for a set builds it, and the others wait."""
    file = folder / f"definitions-{name}.json"  # this test run's own
    with file.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not file.is_file():
            command = [sys.executable, "tests/pipeline/every_definition.py", name]
            process = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, check=True)
            file.write_bytes(process.stdout)
    definitions: dict[str, Any] = json.loads(file.read_bytes())
    return definitions
