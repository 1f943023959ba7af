"""The project's repository: a real one of git, on this machine, in the place of its host."""

import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from verification.deploy.process import ROOT

URL = "https://github.com/acme/triage.git"
# What a delivery reads: what is synthesized, and what the images are made of.
_FILES = (
    ".dockerignore", ".gitignore", "LICENSE", "Makefile", "README.md", "cdk.json", "contracts",
    "engine.mk", "images", "infra", "package-lock.json", "package.json", "pipelines",
    "pyproject.toml", "recipes", "requirements", "setup.py", "src",
)  # fmt: skip
_AUTHOR = {"NAME": "Ada", "EMAIL": "ada@example.invalid"}


@dataclass(frozen=True)
class Repository:
    """A clone whose `main` is what the host has.

    Attributes:
        folder: of its working tree.
    """

    folder: Path

    @property
    def head(self) -> str:
        """The newest commit of `main`."""
        return self.git("rev-parse", "main")

    def git(self, *arguments: str) -> str:
        """Runs git as a person would, and returns what it printed."""
        return git(self.folder, *arguments)

    def commit(self, message: str, *, branch: str, files: Mapping[str, str]) -> None:
        """Commits files on a new branch."""
        self.git("switch", "--quiet", "--create", branch, "main")
        for name, text in files.items():
            (self.folder / name).write_text(text)
        self.git("add", "--all")
        self.git("commit", "--quiet", f"--message={message}")
        self.git("switch", "--quiet", "main")

    def merge(self, branch: str) -> str:
        """Merges a branch into `main`, as a reviewed change; returns the commit."""
        self.git("merge", "--quiet", "--no-ff", f"--message=Merge {branch}", branch)
        return self.head

    def revert(self) -> str:
        """Takes the last merge back; returns the commit."""
        self.git("revert", "--no-edit", "--mainline=1", "HEAD")
        return self.head


def new_repository(folder: Path, files: Mapping[str, str]) -> Repository:
    """Makes a repository of this project, without the settings of any environment.

    `files` take the place of the project's.
    """
    folder.mkdir()
    for name in _FILES:
        source, target = ROOT / name, folder / name
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        elif source.exists():
            shutil.copy(source, target)
    (folder / "config").mkdir()
    shutil.copy(ROOT / "config/base.yaml", folder / "config")
    for name, text in files.items():
        (folder / name).write_text(text)
    repository = Repository(folder)
    repository.git("init", "--quiet", "--initial-branch=main")
    repository.git("add", "--all")
    repository.git("commit", "--quiet", "--message=The project")
    return repository


def git(folder: Path, *arguments: str) -> str:
    """Runs git without the settings of whoever runs this; returns what it printed.

    Raises:
        AssertionError: if it fails.
    """
    people = {f"GIT_{who}_{k}": v for who in ("AUTHOR", "COMMITTER") for k, v in _AUTHOR.items()}
    done = subprocess.run(
        ["git", *arguments],
        cwd=folder,
        env={"PATH": os.environ["PATH"], "HOME": str(folder), "GIT_CONFIG_NOSYSTEM": "1", **people},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"git {' '.join(arguments)}: {done.stdout}{done.stderr}"
    return done.stdout.strip()
