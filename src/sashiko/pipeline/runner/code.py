"""The code digest of a command, in place of an image digest: its modules and dependencies."""

import ast
import importlib.machinery
import importlib.util
import itertools
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from sashiko.base.files import canonical_json, sha256_bytes, sha256_file
from sashiko.pipeline.dependencies import installed, source_folders

_ENGINE = __name__.partition(".")[0]
_PACKS = f"{_ENGINE}_packs"
_PLUGINS = "sashiko.base.plugins"


class CodeDigests:
    """Computes the code digests of commands; each file is read once.

    The digest of `python -m package.module` covers the module, its direct and indirect imports
    from the same top-level package, the engine, its packs and the project's other packages, and
    the data files next to these modules. A script below `/opt/ml` is an input already and adds
    nothing. Every digest covers the Python version, and name and version of each installed
    distribution of the run's lock. A module that imports `sashiko.base.plugins` may import any
    package of the project, so its digest covers all of them. Other imports with a computed name are
    not detected; no step loads what a pack names (`sashiko.packs`).
    """

    def __init__(self) -> None:
        self._installed: tuple[str, ...] | None = None
        self._imports: dict[str, tuple[str, ...]] = {}
        self._roots: dict[str, Path | None] = {}
        self._digests: dict[Path, str] = {}

    def __call__(self, argv: Sequence[str]) -> str:
        """Returns the hex digest of a command's code."""
        if self._installed is None:
            self._installed = installed()
        module = _module_of(argv)
        files = self._files(module) if module else {}
        code = {"python": sys.version, "installed": self._installed, "files": files}
        return sha256_bytes(canonical_json(code))

    def _files(self, module: str) -> dict[str, str]:
        digests: dict[str, str] = {}
        closure = self._closure(module)
        for name in closure:
            path, root = self._module_file(name), self._root(name)
            if path and root:
                for file in [path, *filter(_is_data, path.parent.iterdir())]:
                    digests[file.relative_to(root.parent).as_posix()] = self._digest(file)
        if _PLUGINS in closure:
            digests |= {
                file.relative_to(folder).as_posix(): self._digest(file)
                for folder in source_folders()
                for file in _files_below(folder)
            }
        return digests

    def _closure(self, module: str) -> set[str]:
        packages = {module.partition(".")[0], _ENGINE, _PACKS}
        modules: set[str] = set()
        pending = [module, f"{module}.__main__"]
        while pending:
            name = pending.pop()
            root = self._root(name)
            counts = name.partition(".")[0] in packages or (
                root and root.parent in source_folders()
            )
            if name in modules or not counts or self._module_file(name) is None:
                continue
            modules.add(name)
            if name not in self._imports:
                self._imports[name] = tuple(self._imported(name))
            pending += self._imports[name]
        return modules

    def _root(self, name: str) -> Path | None:
        """Returns the folder of a module's top-level package."""
        package = name.partition(".")[0]
        if package not in self._roots:
            self._roots[package] = _package_folder(package)
        return self._roots[package]

    def _module_file(self, name: str) -> Path | None:
        """Finds a module without importing it."""
        root = self._root(name)
        if root is None:
            return None
        base = root.joinpath(*name.split(".")[1:])
        for candidate in (base / "__init__.py", base.with_suffix(".py")):
            if candidate.is_file():
                return candidate
        return None

    def _imported(self, name: str) -> Iterator[str]:
        """Yields the modules that a module may import, and its parent packages."""
        path = self._module_file(name)
        if path is None:
            return
        if "." in name:
            yield name.rpartition(".")[0]
        package = name if path.name == "__init__.py" else name.rpartition(".")[0]
        for node in ast.walk(ast.parse(path.read_bytes())):
            if isinstance(node, ast.Import):
                yield from (alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                parents = package.split(".")[: len(package.split(".")) - node.level + 1]
                start = [".".join(parents)] if node.level else []
                source = ".".join([*start, *([node.module] if node.module else [])])
                yield source
                yield from (f"{source}.{alias.name}" for alias in node.names)

    def _digest(self, file: Path) -> str:
        if file not in self._digests:
            self._digests[file] = sha256_file(file)
        return self._digests[file]


def _module_of(argv: Sequence[str]) -> str:
    """Returns the module of `python ... -m module ...`, or "" for another command."""
    for argument, following in itertools.pairwise(argv):
        if argument == "-m":
            return following
        if argument.endswith(".py"):
            break
    return ""


def _package_folder(package: str) -> Path | None:
    """Finds a top-level package in a step's import order: the project's own come first."""
    if not package:
        return None
    folders = [*map(str, source_folders())]
    spec = importlib.machinery.PathFinder.find_spec(package, folders) if folders else None
    spec = spec or importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        return None
    return Path(next(iter(spec.submodule_search_locations)))


def _files_below(folder: Path) -> Iterator[Path]:
    """Yields the files of the packages in a folder, without bytecode and without the engine."""
    for file in sorted(folder.glob("*/**/*")):
        top, *parts = file.relative_to(folder).parts
        if not top.startswith(_ENGINE) and "__pycache__" not in parts and file.is_file():
            yield file


def _is_data(file: Path) -> bool:
    return file.is_file() and file.suffix != ".py" and not file.name.startswith(".")
