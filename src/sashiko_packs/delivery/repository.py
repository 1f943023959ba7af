"""The project's git repository: reads commits, and makes a commit of one file on a branch.

The commit is made of git's objects, beside the working tree and its index. A branch appears with
its commit or not at all, whenever the process is killed.
"""

import os
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sashiko.errors import InputError

_REMOTE: Final = "origin"
_NO_COMMIT: Final = "0" * 40  # "must not exist", in `git update-ref`
_SHOWN: Final = 3


@dataclass(frozen=True)
class Branch:
    """A branch of this repository, or what was last fetched of one of origin's."""

    name: str  # such as `model/dev/3`
    commit: str
    local: bool


class Repository:
    """The repository that the working folder is in, which may be a folder of a larger one.

    Attributes:
        branch: the branch that is checked out.
    """

    def __init__(self, *, starts_at: str | None) -> None:
        """Opens it.

        Args:
            starts_at: the branch that must be checked out; None for any.

        Raises:
            InputError: without git or a repository, without a commit or a branch, on another
                branch, or with changes that are not committed.
        """
        self._folder = Path.cwd()
        self._git("rev-parse", "--show-prefix", otherwise="run the command in the project's clone")
        self._git("rev-parse", "--verify", "HEAD", otherwise="commit the project first")
        self.branch = self._git(
            "symbolic-ref",
            "--short",
            "HEAD",
            otherwise=f"no branch is checked out: git switch {starts_at or 'main'}",
        )
        if starts_at and self.branch != starts_at:
            raise InputError(
                f"the branch {self.branch} is checked out, and changes are delivered from "
                f"{starts_at} (key `source.branch` in config/delivery.yaml): git switch {starts_at}"
            )
        if changed := self._git("status", "--porcelain", "--untracked-files=no").splitlines():
            files = ", ".join(line[2:].strip() for line in changed[:_SHOWN])
            more = f" and {len(changed) - _SHOWN} more" if len(changed) > _SHOWN else ""
            raise InputError(
                f"{files}{more}: not committed, so the check would see other files than the "
                "commit has: git stash, or commit"
            )

    @property
    def head(self) -> str:
        """The commit that is checked out."""
        return self._git("rev-parse", "HEAD")

    def blob(self, commit: str, path: Path) -> str | None:
        """Returns the id of a file's content in a commit; None where it has no such file."""
        return self._try("rev-parse", "--verify", "--quiet", f"{commit}:./{path.as_posix()}")

    def text(self, commit: str, path: Path) -> str:
        """Reads a file of a commit.

        Raises:
            InputError: if it is not committed there, or is not UTF-8.
        """
        if self.blob(commit, path) is None:
            raise InputError(f"{path} is not in the commit {commit[:12]}: git add and commit it")
        content = self._run("cat-file", "blob", f"{commit}:./{path.as_posix()}").stdout
        try:
            return content.decode()
        except UnicodeDecodeError as error:
            raise InputError(f"{path} is not readable as UTF-8 text: {error}") from error

    def history(self, path: Path) -> list[str]:
        """Returns the commits on this branch that changed a file, oldest first.

        Raises:
            InputError: if the clone is shallow, so that older ones are missing.
        """
        if self._git("rev-parse", "--is-shallow-repository") == "true":
            raise InputError("this clone has no older commits: git fetch --unshallow")
        log = self._git("log", "--first-parent", "--reverse", "--format=%H", "--", str(path))
        return log.split()

    def branches(self, folder: str) -> list[Branch]:
        """Returns the branches below a folder of names, such as `model/dev`."""
        places = {True: "refs/heads/", False: f"refs/remotes/{_REMOTE}/"}
        branches = []
        for local, place in places.items():
            lines = self._git("for-each-ref", "--format=%(objectname) %(refname)", place + folder)
            for line in lines.splitlines():
                commit, _, reference = line.partition(" ")
                branches.append(Branch(reference.removeprefix(place), commit, local))
        return branches

    def fork_point(self, commit: str) -> str | None:
        """Returns the commit that a branch and this one have in common."""
        return self._try("merge-base", "HEAD", commit)

    def message_ahead(self, commit: str) -> str | None:
        """Returns the message of the one commit that is ahead of this branch; None of several."""
        ahead = self._git("rev-list", f"HEAD..{commit}").splitlines()
        return self._git("log", "-1", "--format=%B", commit) if len(ahead) == 1 else None

    def commit(self, path: Path, text: str, message: str) -> str:
        """Makes a commit on top of this branch that changes one file; no branch names it yet.

        Returns:
            Its id.

        Raises:
            InputError: if git cannot, as without an identity or a key to sign with.
        """
        head = self.head
        prefix = self._git("rev-parse", "--show-prefix")
        entry = self._git("ls-tree", "--full-tree", head, f"{prefix}{path.as_posix()}")
        mode = entry.partition(" ")[0]
        if mode not in {"100644", "100755"}:
            raise InputError(f"{path} is a link in the repository: commit the file itself")
        blob = self._git("hash-object", "-w", "--stdin", content=text)
        with tempfile.TemporaryDirectory() as folder:
            index = {"GIT_INDEX_FILE": f"{folder}/index"}
            self._git("read-tree", head, environment=index)
            named = f"{mode},{blob},{prefix}{path.as_posix()}"
            self._git("update-index", "--cacheinfo", named, environment=index)
            tree = self._git("write-tree", environment=index)
        signs = self._try("config", "--type=bool", "commit.gpgsign") == "true"
        signed = ["-S"] if signs else []
        return self._git("commit-tree", *signed, "-p", head, tree, content=message)

    def set_branch(self, name: str, commit: str, *, before: str | None) -> None:
        """Lets a branch name a commit, if it still names `before`; None if there is none yet.

        Raises:
            InputError: if another process was faster.
        """
        try:
            self._git("update-ref", f"refs/heads/{name}", commit, before or _NO_COMMIT)
        except InputError as error:
            raise InputError(
                f"another delivery changed the branch {name} just now; run the command again"
            ) from error

    def _try(self, *arguments: str) -> str | None:
        done = self._run(*arguments)
        return None if done.returncode else done.stdout.decode().strip()

    def _git(
        self,
        *arguments: str,
        content: str = "",
        environment: Mapping[str, str] | None = None,
        otherwise: str = "",
    ) -> str:
        """Runs git; `otherwise` is what to do where it fails."""
        done = self._run(*arguments, content=content, environment=environment)
        if done.returncode:
            reason = done.stderr.decode(errors="replace").strip() or "it gave no reason"
            advice = f"; {otherwise}" if otherwise else ""
            raise InputError(f"git {arguments[0]} in {self._folder}: {reason}{advice}")
        return done.stdout.decode().rstrip()

    def _run(
        self, *arguments: str, content: str = "", environment: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[bytes]:
        try:
            return subprocess.run(
                ["git", *arguments],  # noqa: S607  # the user's own git
                cwd=self._folder,
                input=content.encode(),
                capture_output=True,
                check=False,
                env={**os.environ, **(environment or {})},
            )
        except OSError as error:
            raise InputError(f"git does not start: {error.strerror}; install it") from error
