"""Projects that `sashiko new` makes, and commands in them; the engine is the installed one."""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from sashiko.packs import enabled_packs
from tests.project_root import REPOSITORY
from tests.unit.commands.in_process import sashiko

_MAIN = "from sashiko.cli import main; main()"
Attempt = subprocess.CompletedProcess[str]
# Each can be left out.
ALL_PACKS = tuple(pack.name for pack in enabled_packs(folder=REPOSITORY / "config"))
# The features that were part of the engine before there were packs.
FIRST_PACKS = tuple(pack for pack in ALL_PACKS if pack != "batch")
PACK_FILES = {
    "monitoring": "pipelines/monitor.py", "batch": "pipelines/batch.py", "delivery": "delivery.mk",
}  # fmt: skip


@dataclass(frozen=True)
class Project:
    """A project's folder."""

    root: Path

    def python(self, *arguments: str, **variables: str) -> Attempt:
        path = os.pathsep.join(map(str, (self.root / "src", self.root)))
        return subprocess.run(
            [sys.executable, *arguments], cwd=self.root,
            env=os.environ | {"PYTHONPATH": path} | variables, stdin=subprocess.DEVNULL,
            capture_output=True, text=True, check=False,
        )  # fmt: skip

    def sashiko(self, *arguments: str | Path) -> Attempt:
        return self.python("-c", _MAIN, *map(str, arguments))

    def git(self, *arguments: str) -> str:
        identity = ("-c", "user.name=team", "-c", "user.email=team@localhost")
        command = ["git", *identity, *arguments]
        done = subprocess.run(command, cwd=self.root, capture_output=True, text=True, check=True)
        return done.stdout

    def commit(self) -> None:
        self.git("init", "--quiet")
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message=a state")

    def files(self) -> dict[str, bytes]:
        """Returns each file's content by path, git's own left out."""
        return {
            path.relative_to(self.root).as_posix(): path.read_bytes()
            for path in sorted(self.root.rglob("*"))
            if path.is_file() and path.relative_to(self.root).parts[0] != ".git"
        }


def new(folder: Path, *arguments: str | Path, wheel: Path) -> Attempt:
    """Runs `sashiko new` in an empty folder, without a terminal."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    return sashiko("new", folder, "--engine", wheel, *arguments, cwd=folder.parent)
