"""A project that a team changes: what it edits and adds, and what comes of it."""

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.project_root import REPOSITORY
from verification.guards.copies import copy_tree

# What a team owns. All else is the engine's, or generated.
_PROJECT = (
    "config/",
    "contracts/",
    "recipes/",
    "pipelines/",
    "infra/app.py",
    "infra/stacks/",
    "src/acme/",
)


@dataclass(frozen=True)
class Project:
    """A copy of the repository, under git; the engine is the installed one."""

    root: Path  # its folder, which commands run in

    @classmethod
    def copy(cls, folder: Path) -> "Project":
        """Copies the repository into a new folder."""
        folder.mkdir(parents=True)
        copy_tree(REPOSITORY, folder)
        return cls(folder)

    def write(self, name: str, text: str) -> None:
        file = self.root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")

    def edit(self, name: str, *, there: str, put: str) -> None:
        """Replaces a piece of a file that stands in it once."""
        text = (self.root / name).read_text(encoding="utf-8")
        assert text.count(there) == 1, f"{name} has {there!r} {text.count(there)} times"
        self.write(name, text.replace(there, put))

    def apply(self, diff: str) -> None:
        """Makes a change as a page prints it: a line ` # file`, then its lines with ` `, - or +."""
        _, *pieces = re.split(r"^ # (\S+)\n", diff, flags=re.MULTILINE)
        for name, piece in zip(pieces[::2], pieces[1::2], strict=True):
            lines = piece.splitlines(keepends=True)
            there = "".join(line[1:] for line in lines if line[0] in " -")
            put = "".join(line[1:] for line in lines if line[0] in " +")
            self.edit(name, there=there, put=put)

    def touched(self) -> set[str]:
        """Returns the files that differ from the copy, generated and ignored ones left out."""
        status = ["git", "status", "--porcelain", "--untracked-files=all"]
        done = subprocess.run(status, cwd=self.root, capture_output=True, text=True, check=True)
        return {line[3:] for line in done.stdout.splitlines()}

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Runs Python on the project's own packages, such as `-m sashiko.pipeline.sdk`."""
        return subprocess.run(
            [sys.executable, *arguments],
            cwd=self.root,
            env=os.environ
            | {"PYTHONPATH": os.pathsep.join(map(str, (self.root / "src", self.root)))},
            capture_output=True,
            text=True,
            check=False,
        )


def assert_small(project: Project) -> None:
    """Holds a change to at most three files, none of them the engine's."""
    touched = project.touched()
    assert len(touched) <= 3, touched
    assert {name for name in touched if not name.startswith(_PROJECT)} == set()
