"""A delivery's builds install requirements/deploy.txt alone: what they run has to import there."""

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

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


def locked() -> list[str]:
    lines = LOCK.read_text().splitlines()
    return [line.partition("==")[0] for line in lines if "==" in line and line[0].isalnum()]


def _imported(module: str) -> Iterator[str]:
    """Yields a command's module and the engine's that its functions import."""
    yield module
    tree = ast.parse(Path("src", *module.split(".")).with_suffix(".py").read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("sashiko"):
            yield str(node.module)


def import_with_the_lock(*modules: str, command: str) -> None:
    """Imports modules, and what a command's functions import, where no other package is.

    Raises:
        AssertionError: if one is not in the lock, or a module does not import.
    """
    arguments = json.dumps([locked(), [*modules, *_imported(command)]])
    done = subprocess.run(
        [sys.executable, "-c", _IMPORTS, arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
