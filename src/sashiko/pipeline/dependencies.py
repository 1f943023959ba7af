"""The installed distributions that a run's result depends on."""

import re
import sysconfig
from collections.abc import Iterator
from pathlib import Path

from sashiko.base.files import lock_file

# What a project installs beside the engine.
_PROJECT_LOCK = Path("requirements/project.txt")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def source_folders() -> tuple[Path, ...]:
    """Returns the folder of the project's own packages: `src/` of the working folder, if any.

    It is on PYTHONPATH wherever project code runs, so the packages need no installation.
    """
    folder = Path.cwd() / "src"
    return (folder,) if folder.is_dir() else ()


def installed() -> tuple[str, ...]:
    """Returns the metadata folder, whose name has the version, of each distribution in the lock.

    The lock is the engine's `run.txt`, torch with its requirements, and the project's own
    packages. No step may import other distributions (tests, CDK), so they change no result. Only
    the environment's site-packages are searched: setuptools adds its bundled packages to
    `sys.path`.
    """
    from importlib.metadata import Distribution

    distributions = {
        _canonical(path.name.partition("-")[0]): path
        for folder in {sysconfig.get_path(name) for name in ("purelib", "platlib")}
        for path in Path(folder).glob("*.dist-info")
    }
    torch = lock_file("torch")
    locks = [path for path in (lock_file("run"), torch, _PROJECT_LOCK) if path.is_file()]
    pinned = {name for lock in locks for name in _names(lock.read_text(encoding="utf-8"))}
    # torch's own requirements are in its metadata only; those of extras are not installed.
    pending = list(_names(torch.read_text(encoding="utf-8")))
    names: set[str] = set()
    while pending:
        name = pending.pop()
        if name not in names and name in distributions:
            for line in Distribution.at(distributions[name]).requires or ():
                requirement, _, marker = line.partition(";")
                if "extra" not in marker:
                    pending += set(_names(requirement)) - pinned
        names.add(name)
    locked = (pinned | names) & distributions.keys()
    return tuple(sorted(distributions[name].name for name in locked))


def _names(text: str) -> Iterator[str]:
    """Yields the names that the lines of a lock begin with; comments and options have none."""
    for line in text.splitlines():
        if match := _NAME.match(line):
            yield _canonical(match.group())


def _canonical(name: str) -> str:
    """Spells a distribution's name as the index does (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()
