"""The use of a deprecated name warns, with its place and the name to use instead."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.golden.rewrite import ROOT

MESSAGE = "deprecated since 0.1; use `acme.new`; removed in 0.2"
OLD = f"""\
import warnings

from typing_extensions import deprecated


@deprecated({MESSAGE!r})
def old():
    warnings.warn("someone else's", DeprecationWarning, stacklevel=2)
"""
USE = """
from acme.names import old
for _ in range(3):
    old()
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project whose pipeline uses a deprecated name, three times in one line."""
    root = tmp_path_factory.mktemp("deprecation")
    for part in ("config", "contracts", "pipelines", "recipes"):
        shutil.copytree(ROOT / part, root / part, ignore=shutil.ignore_patterns("__pycache__"))
    (root / "src/acme").mkdir(parents=True)
    (root / "src/acme/__init__.py").touch()
    (root / "src/acme/names.py").write_text(OLD)
    with (root / "pipelines/finetune.py").open("a") as pipeline:
        pipeline.write(USE)
    return root


def test_the_definition_comes_with_the_place_and_the_way_out_once(project: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", "from sashiko.cli import main; main()", "definition"],
        cwd=project,
        env={name: value for name, value in os.environ.items() if name != "PYTHONWARNINGS"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    line = (project / "pipelines/finetune.py").read_text().splitlines().index("    old()") + 1
    place = rf"^\S*pipelines/finetune\.py:{line}: DeprecationWarning: {re.escape(MESSAGE)}$"
    assert len(re.findall(place, done.stderr, re.M)) == 1, done.stderr
    assert done.stderr.count("Warning") == 1, "no other warning, of the SDK or of anyone"
    assert "deprecated" not in done.stdout


def test_a_step_says_it_too(project: Path, tmp_path: Path) -> None:
    """Beyond `__main__`, where Python itself shows a warning."""
    (project / "src/acme/caller.py").write_text(
        "from acme.names import old\n\n\ndef main(): old()\n"
    )
    code = "from acme.caller import main; from sashiko.steps.entry import run_step; run_step(main)"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"PYTHONPATH": str(project / "src"), "OPT_ML": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert f"caller.py:4: DeprecationWarning: {MESSAGE}\n" in done.stderr
    assert "someone else's" not in done.stderr
