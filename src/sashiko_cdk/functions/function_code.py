"""The code of a Lambda function: a module of the package, and its imports from the package."""

import ast
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import sashiko

_SOURCE = Path(sashiko.__file__).parents[1]
_ENGINE = ("sashiko", "sashiko_packs")
# The modules of Lambda's runtime.
_RUNTIME = sys.stdlib_module_names | {"boto3", "botocore"}


def write_code(module: str, folder: Path) -> None:
    """Copies a function's files into a folder, below their packages.

    Raises:
        ValueError: if a module needs a package that Lambda's runtime lacks.
    """
    for source in sorted(_files(module)):
        target = folder / source.relative_to(_SOURCE)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)


def _files(module: str) -> set[Path]:
    files: set[Path] = set()
    waiting = [module]
    while waiting:
        name = waiting.pop()
        path = _file(name)
        # `from package import name`: the name may be a function or class.
        if path is None or path in files:
            continue
        files.add(path)
        waiting.append(name.rpartition(".")[0])
        for imported in _imports(path):
            if imported.partition(".")[0] in _ENGINE:
                waiting.append(imported)
            elif imported.partition(".")[0] not in _RUNTIME:
                raise ValueError(
                    f"{path}: a Lambda function can't import `{imported}`; it has the standard "
                    "library and boto3"
                )
    return files


def _file(name: str) -> Path | None:
    path = _SOURCE.joinpath(*name.split("."))
    if not name:
        return None
    return next((p for p in (path.with_suffix(".py"), path / "__init__.py") if p.is_file()), None)


def _imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield str(node.module)
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
