"""What is installed that a run's result depends on."""

import re
import sysconfig
from collections.abc import Iterator, Mapping
from pathlib import Path

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
