"""Definitions as the SageMaker SDK builds them."""

import fcntl
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest

from sashiko.settings.environment import load_settings
from tests.pipeline.every_definition import ROOT
from tests.project_root import project_root


class Definitions(dict[str, Any]):
    """Definitions by name; those of the weekly set are built where a test reads one.

    What a command of the SDK's module prints is among them as text.
    """

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


def _commands(folder: Path) -> dict[str, tuple[Path, list[str]]]:
    """Clarify's image with a label of whole numbers, and of a contract that calls them numbers."""
    from tests.golden import rewrite  # it reads the working folder, which pytest sets later

    settings = load_settings("dev", folder=rewrite.ROOT / "config").model_dump(mode="json")
    (folder / "clarify.json").write_text(json.dumps(settings | {"bias": {"backend": "clarify"}}))
    head, rest = (rewrite.ROOT / "contracts/days.odcs.yaml").read_text().split("- name: days_left")
    contract = folder / "numbers.odcs.yaml"
    rest = rest.replace("logicalType: integer", "logicalType: number", 1)
    contract.write_text(f"{head}- name: days_left{rest}")
    whole = ["--recipe=recipes/days.yaml", f"--settings={folder / 'clarify.json'}"]
    return rewrite.definition_commands(folder) | {
        "clarify, whole numbers": (rewrite.ROOT, whole),
        "clarify, numbers": (rewrite.ROOT, [*whole, f"--set=contract={contract}"]),
    }


def _shared(folder: Path, name: str) -> dict[str, Any]:
    """The first of the test run's processes that asks for a set builds it, and the others wait."""
    file = folder / f"definitions-{name}.json"  # this test run's own
    with file.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not file.is_file():
            command = [sys.executable, str(ROOT / "tests/pipeline/every_definition.py"), name]
            with tempfile.TemporaryDirectory() as own:
                commands = json.dumps(_commands(Path(own)), default=str).encode()
                process = subprocess.run(
                    command, cwd=project_root(), input=commands, stdout=subprocess.PIPE, check=True
                )
            file.write_bytes(process.stdout)
    definitions: dict[str, Any] = json.loads(file.read_bytes())
    return definitions
