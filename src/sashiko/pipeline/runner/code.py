"""What stands for an image's digest: the code that a command runs, and what is installed."""

import ast
import importlib.machinery
import importlib.util
import itertools
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from sashiko.core.files import canonical_json, sha256_bytes, sha256_file
from sashiko.pipeline.dependencies import installed, source_folders

_ENGINE = __name__.partition(".")[0]
_PLUGINS = "sashiko.core.plugins"


class CodeDigests:
    """Digests the code behind commands; what was read once is not read again.

    `python -m package.module` stands for the module, every module that it imports, directly or
    not, anywhere in the file, of the same top-level package, of the engine and of the project's
    other packages, and the data files beside these modules. A script below `/opt/ml` is an input
    already and adds nothing. Both depend on the Python version and on the name and version of every
    installed distribution of the run's lock. A module that reaches `sashiko.core.plugins` may
    import any of the project's own packages, so all of these count for it. Other imports with a
    computed name are not seen.
    """

    def __init__(self) -> None:
        """Starts with nothing read."""
        self._installed: tuple[str, ...] | None = None
        self._imports: dict[str, tuple[str, ...]] = {}
        self._roots: dict[str, Path | None] = {}
        self._digests: dict[Path, str] = {}

    def __call__(self, argv: Sequence[str]) -> str:
        """Returns the hex digest of the code behind a command."""
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
        own = {module.partition(".")[0], _ENGINE}
        found: set[str] = set()
        waiting = [module, f"{module}.__main__"]
        while waiting:
            name = waiting.pop()
            root = self._root(name)
            counts = name.partition(".")[0] in own or (root and root.parent in source_folders())
            if name in found or not counts or self._module_file(name) is None:
                continue
            found.add(name)
            if name not in self._imports:
                self._imports[name] = tuple(self._imported(name))
            waiting += self._imports[name]
        return found

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
        """Yields what a module may import, and the packages around it."""
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
                around = package.split(".")[: len(package.split(".")) - node.level + 1]
                start = [".".join(around)] if node.level else []
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
    """Finds a top-level package as a step does: the project's own come first."""
    if not package:
        return None
    own = [*map(str, source_folders())]
    spec = importlib.machinery.PathFinder.find_spec(package, own) if own else None
    spec = spec or importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        return None
    return Path(next(iter(spec.submodule_search_locations)))


def _files_below(folder: Path) -> Iterator[Path]:
    """Yields the files of the packages in a folder, without bytecode, but for the engine's."""
    for file in sorted(folder.glob("*/**/*")):
        top, *below = file.relative_to(folder).parts
        if not top.startswith(_ENGINE) and "__pycache__" not in below and file.is_file():
            yield file


def _is_data(file: Path) -> bool:
    return file.is_file() and file.suffix != ".py" and not file.name.startswith(".")
