"""What a process's result depends on: the interpreter, what is installed, the files it has read."""

import os
import re
import sys
import sysconfig
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from sashiko.files import sha256_bytes, sha256_file
from sashiko.yaml_models import Frozen

_VIRTUAL = tuple(f"/{folder}{os.sep}" for folder in ("proc", "sys", "dev"))
_LISTINGS = ("os.listdir", "os.scandir")


# What `make run` installs; torch's own requirements stand in its metadata alone.
_LOCKS = (Path("requirements/run.txt"), Path("requirements/torch.txt"))
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_METADATA = ".dist-info"


def source_folders() -> tuple[Path, ...]:
    """Returns where the project's own packages lie: `src/` of the working folder, if it is there.

    Python is told of it wherever it runs a project's code, so that the packages need no installing.
    """
    folder = Path.cwd() / "src"
    return (folder,) if folder.is_dir() else ()


def installed() -> tuple[str, ...]:
    """Names the metadata folder, which holds the version, of each distribution of the run's lock.

    The lock is `requirements/run.txt` and torch with what torch requires. What else is installed,
    for tests or for CDK, no step may import, so that it changes no result. Where the locks are not
    below the working folder, every installed distribution counts. Those of the environment's
    folders and not of `sys.path`, to which setuptools adds what it bundles.
    """
    there = {_canonical(path.name.partition("-")[0]): path for path in _distributions()}
    if all(lock.is_file() for lock in _LOCKS):
        there = {name: there[name] for name in _locked(there)}
    return tuple(sorted(path.name for path in there.values()))


def _distributions() -> Iterator[Path]:
    for folder in {sysconfig.get_path(name) for name in ("purelib", "platlib")}:
        yield from Path(folder).glob(f"*{_METADATA}")


def _locked(there: Mapping[str, Path]) -> set[str]:
    """Names what is installed of the locks, and what that requires beyond them."""
    locked = {name for lock in _LOCKS for name in _names(lock.read_text(encoding="utf-8"))}
    waiting = list(_names(_LOCKS[-1].read_text(encoding="utf-8")))
    seen: set[str] = set()
    while waiting:
        name = waiting.pop()
        if name not in seen and name in there:
            waiting += [required for required in _required(there[name]) if required not in locked]
        seen.add(name)
    return (locked | seen) & there.keys()


def _names(text: str) -> Iterator[str]:
    """Yields the names that the lines of a lock begin with; comments and options have none."""
    for line in text.splitlines():
        if found := _NAME.match(line):
            yield _canonical(found.group())


def _required(metadata: Path) -> Iterator[str]:
    """Yields what a distribution requires, but for its extras."""
    from importlib.metadata import Distribution

    for line in Distribution.at(metadata).requires or ():
        requirement, _, marker = line.partition(";")
        if "extra" not in marker:
            yield from _names(requirement)


def _canonical(name: str) -> str:
    """Spells a distribution's name as the index does (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


class Reads(Frozen):
    """What a process has read that neither came with Python nor was installed beside it.

    Attributes:
        files: path, relative to the working folder where it lies below it -> hex SHA-256, or None
            for a file that the process looked for and that is not there.
        folders: path -> hex SHA-256 of the names in it, without hidden ones and bytecode; None for
            one that is not there.
    """

    files: Mapping[str, str | None]
    folders: Mapping[str, str | None]

    def changed(self) -> str | None:
        """Returns a path that is no longer what was read, or None if all are."""
        for path, digest in self.files.items():
            if _file_digest(path) != digest:
                return path
        for path, digest in self.folders.items():
            if _names_digest(path) != digest:
                return path
        return None


class Recorder:
    """Notes every file that this process opens to read, and every folder that it lists.

    A file is digested when it is opened and not when the process ends, so one that is edited in
    between no longer fits what is on record. It sees what goes through Python: not what native code
    or a child process reads, nor a question whether a file is there. Python cannot take an audit
    hook away again, so this is for a process that does one thing and ends.
    """

    def __init__(self) -> None:
        """Begins; modules that were imported before are taken as they lie on disk now."""
        self._here = f"{Path.cwd()}{os.sep}"
        self._package = f"{Path(__file__).parent}{os.sep}"
        names = ("stdlib", "platstdlib", "purelib", "platlib")
        bases: dict[str, Any] = {"base": sys.base_prefix, "platbase": sys.base_exec_prefix}
        self._installed = tuple(
            {
                f"{sysconfig.get_path(name, vars=values)}{os.sep}"
                for name in names
                for values in ({}, bases)
            }
        )
        self._files: dict[str, str | None] = {}
        self._folders: dict[str, str | None] = {}
        files = [getattr(module, "__file__", None) for module in [*sys.modules.values()]]
        for file in filter(None, files):
            self._read(file)
            self._listed(Path(file).parent)
        for folder in sys.path:
            self._listed(folder or ".")
        sys.addaudithook(self._hear)

    def reads(self) -> Reads:
        """Returns what was read until now."""
        return Reads(files=dict(self._files), folders=dict(self._folders))

    def _hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open":
            path, mode, flags = arguments
            if not _only_writes(mode, flags):
                self._read(path)
        elif event in _LISTINGS:
            self._listed("." if arguments[0] is None else arguments[0])

    def _read(self, path: Any) -> None:
        place = _place(path)
        # Bytecode stands for its source, which is compared by size and time when it is loaded.
        if place.endswith(".pyc"):
            place = _source(place)
        key = self._key(place)
        if key and key not in self._files:
            self._files[key] = None  # digesting it opens it
            self._files[key] = _file_digest(place)

    def _listed(self, path: Any) -> None:
        key = self._key(_place(path))
        if key and key not in self._folders:
            self._folders[key] = None
            self._folders[key] = _names_digest(key)

    def _key(self, place: str) -> str:
        """Returns how a place is noted, or "" for one that is not to be."""
        inside = f"{place}{os.sep}"
        if not place or inside.startswith(_VIRTUAL):
            return ""
        if inside.startswith(self._installed) and not inside.startswith(self._package):
            return ""
        return "." if inside == self._here else place.removeprefix(self._here)


def _only_writes(mode: str | None, flags: int) -> bool:
    if isinstance(mode, str):
        return "r" not in mode and "+" not in mode
    new = os.O_CREAT | os.O_EXCL
    return flags & os.O_ACCMODE == os.O_WRONLY or flags & new == new


def _place(path: Any) -> str:
    """Returns the absolute path of what an audit event names, or "" for a file descriptor."""
    if isinstance(path, (str, bytes, os.PathLike)):
        return os.path.abspath(os.fsdecode(path))  # noqa: PTH100  # a link is what was asked for
    return ""


def _source(bytecode: str) -> str:
    from importlib.util import source_from_cache

    try:
        return source_from_cache(bytecode)
    except ValueError:  # bytecode without a source beside it
        return bytecode


def _file_digest(path: str) -> str | None:
    try:
        return sha256_file(Path(path)) if Path(path).is_file() else None
    except OSError:
        return None


def _names_digest(path: str) -> str | None:
    try:
        names = sorted(item.name for item in Path(path).iterdir())
    except OSError:
        return None
    kept = [name for name in names if not name.startswith((".", "__pycache__"))]
    return sha256_bytes("\n".join(kept).encode())
