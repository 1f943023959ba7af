"""A copy of the repository, to break guards in."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from verification.guards.table import Mutation

# What tests need and git does not know.
_INSTALLED = ("node_modules", ".venv-serving")


def copy_tree(root: Path, folder: Path) -> None:
    """Copies the tracked and untracked, not ignored files into a new repository."""
    listed = _git(root, "ls-files", "-z", "--cached", "--others", "--exclude-standard")
    for name in filter(None, listed.split("\0")):
        if (root / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(root / name, folder / name, follow_symlinks=False)
    _git(folder, "init", "--quiet")
    _git(folder, "add", "--all")
    _git(folder, "commit", "--quiet", "--message", "A copy")
    for name in _INSTALLED:
        if (root / name).is_dir():
            (folder / name).symlink_to((root / name).resolve())
    with (folder / ".git/info/exclude").open("a") as excluded:
        excluded.writelines(f"/{name}\n" for name in _INSTALLED)


def head(root: Path) -> str:
    """Returns the commit that is checked out."""
    return _git(root, "rev-parse", "HEAD").strip()


@contextmanager
def mutated(folder: Path, mutation: Mutation) -> Iterator[None]:
    """Changes a file of a copy, and takes the change back."""
    file = folder / mutation.file
    before = file.read_text(encoding="utf-8")
    try:
        _write(file, before.replace(mutation.there, mutation.put))
        yield
    finally:
        _write(file, before)


def _write(file: Path, text: str) -> None:
    """Python takes bytecode of the same second and size for the file's, so that goes too."""
    file.write_text(text, encoding="utf-8")
    for compiled in file.parent.glob(f"__pycache__/{file.stem}.*.pyc"):
        compiled.unlink()


def _git(folder: Path, *arguments: str) -> str:
    """Runs git as nobody in particular, whatever this machine's own settings are."""
    person = ("-c", "user.name=Nobody", "-c", "user.email=nobody@example.com")
    return subprocess.run(
        ["git", *person, *arguments],
        cwd=folder,
        env=os.environ | {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
