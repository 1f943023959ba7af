"""A project in a git repository, and its account in moto with versions to deliver."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from sashiko.account import account_registry
from sashiko.account.account import Account as AwsAccount
from sashiko.cli import app
from sashiko.errors import InputError
from sashiko.settings.environment import Settings
from sashiko_packs.delivery import deliver as module
from tests.infra.variants import ROOT, output_of
from tests.unit.account import two_accounts
from tests.unit.registry.model_packages.account import Account

DEV = """\
# Yours: the development account.
tier: dev
account: "111122223333"
network: {zones: [a]}
serving: {min_instances: 1}  # one is enough
# The end.
"""
ARN = "arn:aws:sagemaker:us-east-1:111122223333:model-package/sashiko-dev-complaint-triage/{}"


@dataclass
class Project:
    """What the tests look at."""

    folder: Path  # the clone
    account: Account  # the environment's, in moto

    def git(self, *arguments: str) -> str:
        return git(self.folder, *arguments)

    def register(self, number: int, *, status: str = "Approved") -> str:
        """Registers a version, whose number has to be the next one; returns its ARN."""
        root = self.folder.parent / f"evidence-{number}"
        root.mkdir()
        files = two_accounts.evidence(root, artifact=f"weights {number}".encode())
        two_accounts.register(self.account, files, status=status, execution_id=str(number))
        newest = self.account.registry.versions(self.account.group)[0]
        assert newest.version == number
        return str(newest.arn)

    def sashiko(self, *arguments: str, env: str = "dev") -> Result:
        return CliRunner().invoke(app, ["model", *arguments, "--env", env])

    def delivered(self, *arguments: str) -> str:
        """Runs a command that has to make a branch, and returns the branch."""
        done = self.sashiko(*arguments)
        assert done.exit_code == 0, f"{done.output} {done.exception!r}"
        return done.stdout.strip()

    def refusal(self, *arguments: str, env: str = "dev") -> str:
        """Runs a command that has to refuse, and returns why; nothing may have changed."""
        before = self.references()
        done = self.sashiko(*arguments, env=env)
        assert done.exit_code == 1
        assert isinstance(done.exception, InputError), repr(done.exception)
        assert self.references() == before
        assert not done.stdout
        return str(done.exception)

    def references(self) -> str:
        """All branches with their commits, what is checked out, and what differs from it."""
        return (
            self.git("for-each-ref")
            + self.git("rev-parse", "HEAD")
            + self.git("status", "--porcelain", "--untracked-files=no")
        )

    def settings(self, commit: str) -> str:
        return self.git("show", f"{commit}:config/dev.yaml")

    def merge(self, branch: str) -> None:
        self.git("merge", "--quiet", "--no-ff", "--no-edit", branch)


def git(folder: Path, *arguments: str, env: Mapping[str, str] | None = None) -> str:
    done = output_of(["git", "-C", str(folder), *arguments], env=env)
    assert done.returncode == 0, done.stderr
    return done.stdout


def bare_origin(origin: Path, *branches: str, env: Mapping[str, str]) -> None:
    """Makes a repository without files, each of whose branches is a commit of its own."""
    git(origin.parent, "init", "--quiet", "--bare", "--initial-branch=main", str(origin), env=env)
    tree = git(origin, "hash-object", "-t", "tree", "-w", "/dev/null", env=env).strip()
    for branch in branches:
        commit = git(origin, "commit-tree", "-m", branch, tree, env=env).strip()
        git(origin, "update-ref", f"refs/heads/{branch}", commit, env=env)


def new_project(
    folder: Path,
    account: Account,
    monkeypatch: pytest.MonkeyPatch,
    *,
    settings: Settings = two_accounts.DEV,
) -> Project:
    """Makes a clone whose settings alone are committed, and goes there.

    Args:
        folder: an empty one.
        account: that of an environment.
        monkeypatch: gives the command the account, and git an identity and no other settings.
        settings: of the environment.
    """
    for name, value in {
        "GIT_CONFIG_GLOBAL": "/dev/null",
        "GIT_CONFIG_SYSTEM": "/dev/null",
        "GIT_AUTHOR_NAME": "Ada",
        "GIT_AUTHOR_EMAIL": "ada@example.com",
        "GIT_COMMITTER_NAME": "Ada",
        "GIT_COMMITTER_EMAIL": "ada@example.com",
    }.items():
        monkeypatch.setenv(name, value)
    folder.mkdir()
    for entry in ROOT.iterdir():
        if entry.name not in {"config", ".git"}:
            (folder / entry.name).symlink_to(entry)
    (folder / "config").mkdir()
    (folder / "config/base.yaml").write_bytes((ROOT / "config/base.yaml").read_bytes())
    (folder / "config/dev.yaml").write_text(DEV)
    git(folder, "init", "--quiet", "--initial-branch=main")
    git(folder, "add", "config")
    git(folder, "commit", "--quiet", "--message=the project")
    monkeypatch.chdir(folder)
    _use(account, settings, monkeypatch)
    return Project(folder, account)


def _use(account: Account, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Gives the command an account with moto's clients."""
    session = two_accounts._session(settings, "endpoint-deployer")
    services: dict[str, Any] = {
        **vars(account.clients),
        "sts": session.client("sts"),
        "application-autoscaling": session.client("application-autoscaling"),
    }

    def opened(settings: Any) -> AwsAccount:
        aws = AwsAccount(settings)
        aws._clients = dict(services)
        return aws

    monkeypatch.setattr(module, "Account", opened)
    monkeypatch.setattr(account_registry, "Account", opened)
