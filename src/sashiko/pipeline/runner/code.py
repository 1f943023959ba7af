"""The code digest of a command, in place of an image digest: its modules and dependencies."""

import ast
import importlib.machinery
import importlib.util
import itertools
import sys
import threading
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from sashiko.base.files import canonical_json, sha256_bytes, sha256_file
from sashiko.pipeline.dependencies import installed, source_folders

_ENGINE = __name__.partition(".")[0]
_PACKS = f"{_ENGINE}_packs"
_PLUGINS = "sashiko.base.plugins"
# Packages that take long to import, and what of them a step that uses them comes to import.
_SLOW: Mapping[str, tuple[str, ...]] = MappingProxyType({
    "captum": ("captum.attr",),
    "great_expectations": (
        "great_expectations.data_context", "great_expectations.execution_engine",
        "great_expectations.expectations.registry",
    ),
    "mlflow": (
        "mlflow", "mlflow.store.tracking.sqlalchemy_store",
        "mlflow.store.model_registry.sqlalchemy_store",
    ),
    "numpy": ("numpy",),
    "pyarrow": ("pyarrow.parquet", "pyarrow.compute"),
    "pydantic": ("pydantic",),
    "torch": ("torch",),
    "transformers": (
        "transformers.modeling_utils", "transformers.models.auto.modeling_auto",
        "transformers.modeling_layers",
    ),
})  # fmt: skip


def slow_modules(packages: Collection[str]) -> tuple[str, ...]:
    """Returns what of the slow ones among some packages a step comes to import."""
    return tuple(name for package in _SLOW if package in packages for name in _SLOW[package])


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
        # Steps that begin at once ask from threads of their own, and `ast.parse` of Python 3.11 is
        # not safe there: SystemError, AST constructor recursion depth mismatch (python/cpython
        # issue 106905).
        self._lock = threading.Lock()
        self._installed: tuple[str, ...] | None = None
        self._imports: dict[str, tuple[str, ...]] = {}
        self._roots: dict[str, Path | None] = {}
        self._digests: dict[Path, str] = {}

    def __call__(self, argv: Sequence[str]) -> str:
        """Returns the hex digest of a command's code: of its module, if it is `python ... -m`."""
        module = _module(argv)
        with self._lock:
            if self._installed is None:
                self._installed = installed()
            files = self._files(module) if module else {}
        code = {"python": sys.version, "installed": self._installed, "files": files}
        return sha256_bytes(canonical_json(code))

    def slow_imports(self, argv: Sequence[str]) -> tuple[str, ...]:
        """Returns the modules of slow packages that a command's code comes to import."""
        module = _module(argv)
        with self._lock:
            closure = self._closure(module) if module else ()
            users = {name.partition(".")[0] for user in closure for name in self._imports[user]}
        return slow_modules(users)

    def _files(self, module: str) -> dict[str, str]:
        digests: dict[str, str] = {}
        closure = self._closure(module)
        for name in closure:
            path, root = self._module_file(name), self._root(name)
            if path and root:
                data = [file for file in path.parent.iterdir() if file.suffix != ".py"]
                for file in [path, *data]:
                    if file.is_file() and not file.name.startswith("."):
                        digests[file.relative_to(root.parent).as_posix()] = self._digest(file)
        for folder in source_folders() if _PLUGINS in closure else ():
            for file in sorted(folder.glob("*/**/*")):  # without bytecode and without the engine
                top, *parts = file.relative_to(folder).parts
                if not top.startswith(_ENGINE) and "__pycache__" not in parts and file.is_file():
                    digests[file.relative_to(folder).as_posix()] = self._digest(file)
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
        """Returns the folder of a module's top-level package; the project's own come first."""
        package = name.partition(".")[0]
        if package and package not in self._roots:
            folders = [*map(str, source_folders())]
            spec = importlib.machinery.PathFinder.find_spec(package, folders) if folders else None
            spec = spec or importlib.util.find_spec(package)
            places = spec.submodule_search_locations if spec else None
            self._roots[package] = Path(next(iter(places))) if places else None
        return self._roots.get(package)

    def _module_file(self, name: str) -> Path | None:
        """Finds a module without importing it."""
        root = self._root(name)
        if root is None:
            return None
        base = root.joinpath(*name.split(".")[1:])
        return next(filter(Path.is_file, (base / "__init__.py", base.with_suffix(".py"))), None)

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


def _module(argv: Sequence[str]) -> str:
    pairs = itertools.pairwise(argv)
    options = itertools.takewhile(lambda pair: not pair[0].endswith(".py"), pairs)
    return next((following for word, following in options if word == "-m"), "")
