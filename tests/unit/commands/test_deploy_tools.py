"""A delivery's builds install requirements/deploy.txt alone: what they run has to import there."""

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

LOCK = Path("requirements/deploy.txt")
_IMPORTS = """
import importlib.metadata, json, sys
locked, modules = json.loads(sys.argv[1])
own = {"sashiko", "_distutils_hack", *locked}
others = {
    top
    for top, names in importlib.metadata.packages_distributions().items()
    if not {name.lower().replace("_", "-") for name in names} & own
}

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in others:
            raise ModuleNotFoundError(f"{name} is not in requirements/deploy.txt")

sys.meta_path.insert(0, Missing())
for name in modules:
    importlib.import_module(name)
"""


def _locked() -> list[str]:
    lines = LOCK.read_text().splitlines()
    return [line.partition("==")[0] for line in lines if "==" in line and line[0].isalnum()]


def _imported(command: str) -> Iterator[str]:
    """Yields the command's module and the engine's that its functions import."""
    yield f"sashiko.commands.{command}"
    tree = ast.parse(Path(f"src/sashiko/commands/{command}.py").read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("sashiko"):
            yield str(node.module)


# `sashiko model deliver` is in the module of `sashiko model`.
@pytest.mark.parametrize(
    ("command", "group"),
    [
        ("preflight", "sashiko.cli"),
        ("model_delivery", "sashiko.commands.model_command"),
        ("delivery", "sashiko.cli"),
    ],
)
def test_what_a_build_runs_needs_nothing_but_the_lock(command: str, group: str) -> None:
    arguments = json.dumps([_locked(), [group, *_imported(command)]])
    done = subprocess.run(
        [sys.executable, "-c", _IMPORTS, arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_a_deploy_installs_no_torch_and_everything_by_hash() -> None:
    text = LOCK.read_text()
    assert not {"torch", "mlflow", "sagemaker"} & set(_locked())
    assert text.count("--hash=sha256:") >= text.count("==") == len(_locked())
