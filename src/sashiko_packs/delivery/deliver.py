"""Delivers a version, or the one before: checks it as a deploy does, and makes the commit."""

import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sashiko.account.account import Account
from sashiko.account.endpoint_spec import expected_of, served_package
from sashiko.base.custom_resource import RefusedError
from sashiko.base.yaml_models import set_in_section
from sashiko.base.yaml_text import YamlError, parse_yaml
from sashiko.errors import InputError
from sashiko.registry.preflight.expected import describe
from sashiko.registry.preflight.signed_files import connect
from sashiko.registry.preflight.version_check import Passed, check
from sashiko.settings.environment import Settings
from sashiko.settings.recipe import Recipe
from sashiko_packs.delivery.repository import Branch, Repository


def serve(text: str, arn: str, *, file: Path) -> str:
    """Returns the file's text with the version set, and nothing else changed.

    Raises:
        InputError: if the section `serving` is written in a way that no command can change.
    """
    try:
        return set_in_section(text, "serving", {"enabled": "true", "model_package_arn": arn})
    except YamlError as error:
        raise InputError(
            f"{file}: key `serving`: {error}; write it as `serving: {{enabled: true, "
            f"model_package_arn: {arn}}}` yourself"
        ) from error


def named_version(text: str) -> str | None:
    """Returns the ARN that a file's text serves; None if it serves none, or is not valid."""
    try:
        settings: Any = parse_yaml(text)
    except YamlError:
        return None
    serving = settings.get("serving") if isinstance(settings, dict) else None
    if not isinstance(serving, dict) or serving.get("enabled") is not True:
        return None
    arn = serving.get("model_package_arn")
    return arn if isinstance(arn, str) else None


def version_number(arn: str) -> int:
    """Returns the number at the end of a model package's ARN."""
    return int(arn.rpartition("/")[2])


def served_before(repository: Repository, file: Path) -> str:
    """Returns the ARN that was served before the current one.

    A return to the version before ends the one that it replaced: after 1, 2, 3 and back to 2 the
    version before 2 is 1. Times in which nothing was served count for nothing.

    Raises:
        InputError: if nothing is served now, or no other version was.
    """
    current = named_version(repository.text("HEAD", file))
    advice = f"`sashiko model deliver VERSION --env {file.stem}` serves an approved version"
    if current is None:
        raise InputError(f"{file}: key `serving`: nothing is served; {advice}")
    versions: list[str] = []
    for arn in _history(repository, file):
        if versions[-1:] == [arn]:
            continue
        if versions[-2:-1] == [arn]:
            versions.pop()
        else:
            versions.append(arn)
    if len(versions) < 2:
        raise InputError(
            f"{file}: key `serving.model_package_arn`: no other version than {current} was served "
            f"before; {advice}"
        )
    return versions[-2]


def is_taken_back(repository: Repository, file: Path, arn: str) -> bool:
    """Says whether a version was served once, and is not now: a person decided so.

    Raises:
        InputError: if the clone is shallow.
    """
    current = named_version(repository.text("HEAD", file))
    return arn != current and arn in _history(repository, file)


def _history(repository: Repository, file: Path) -> Iterator[str]:
    """Yields what each commit of the file serves, oldest first; nothing for none."""
    for commit in repository.history(file):
        # A commit may have deleted the file.
        known = repository.blob(commit, file) is not None
        arn = named_version(repository.text(commit, file)) if known else None
        if arn is not None:
            yield arn


@dataclass(frozen=True, kw_only=True)
class Target:
    """Where a version is served."""

    settings: Settings  # the environment, as it is committed
    recipe: Recipe  # of its models

    @property
    def file(self) -> Path:
        """The settings file that names the version, relative to the project."""
        return Path("config") / f"{self.settings.environment}.yaml"

    @property
    def branches(self) -> str:
        """The folder of the names of all its branches."""
        return f"model/{self.settings.environment}"


def deliver(
    repository: Repository, target: Target, arn: str, *, rollback: bool = False
) -> str | None:
    """Makes the branch with the one commit that serves a version, unless it is there.

    The branch starts at the commit that is checked out; working tree and index stay as they are. A
    branch that was made for another state of the settings file is made anew.

    Returns:
        The branch; None if the settings serve that version already.

    Raises:
        InputError: if the version may not be served, somebody else has worked on the branch, or
            git fails.
    """
    committed = repository.text("HEAD", target.file)
    before = named_version(committed)
    if before == arn:
        return None
    name = f"{target.branches}/{version_number(arn)}"
    own = [branch for branch in repository.branches(target.branches) if branch.name == name]
    local = next((branch for branch in own if branch.local), None)
    earlier = local.commit if local else None
    current = [branch for branch in own if _would_serve(repository, branch, target) == arn]
    for branch in own:
        if branch not in current:
            _require_own(repository, branch, arn)
    if current:
        if local not in current:
            repository.set_branch(name, current[0].commit, before=earlier)
        _print(f"{name} is there already")
        return name
    passed = _check(target, arn)
    environment = target.settings.environment
    message = commit_message(
        passed, environment=environment, arn=arn, before=before, rollback=rollback
    )
    commit = repository.commit(target.file, serve(committed, arn, file=target.file), message)
    repository.set_branch(name, commit, before=earlier)
    _print(message.rstrip())
    return name


def _would_serve(repository: Repository, branch: Branch, target: Target) -> str | None:
    """Returns the version that a merge of the branch would serve.

    None if the settings file has changed since the branch was made: the merge would conflict, or
    is done.
    """
    fork = repository.fork_point(branch.commit)
    if fork is None or repository.blob(fork, target.file) != repository.blob("HEAD", target.file):
        return None
    if repository.blob(branch.commit, target.file) is None:
        return None
    return named_version(repository.text(branch.commit, target.file))


def _require_own(repository: Repository, branch: Branch, arn: str) -> None:
    """Refuses to replace a branch that holds more than the one commit of an earlier delivery."""
    if repository.fork_point(branch.commit) == branch.commit:  # it is merged
        return
    message = repository.message_ahead(branch.commit)
    if message is None or package_line(arn) not in message.splitlines():
        place = "this clone" if branch.local else "origin"
        raise InputError(
            f"the branch {branch.name} of {place} was made for other settings than those of "
            f"{repository.branch} now, and holds commits of somebody else: merge or delete it, and "
            "run the command again"
        )


def _check(target: Target, arn: str) -> Passed:
    """Checks a version as the preflight of the deploy does."""
    settings = target.settings
    serving = settings.serving.model_copy(update={"enabled": True, "model_package_arn": arn})
    changed = settings.model_copy(update={"serving": serving})
    served_package(changed, target.recipe)  # refuses another account's, and another group's
    expected = expected_of(changed, target.recipe, arn)
    account = Account(settings)
    account.check_identity()
    clients = connect(account.client)
    try:
        with account.translate_errors(f"checking {arn}", role="endpoint-deployer"):
            return check(clients, expected)
    except RefusedError as refusal:
        raise InputError(
            f"{target.file} stays as it is: {refusal}. `sashiko model list --env "
            f"{settings.environment}` shows the versions"
        ) from refusal


def _print(text: str) -> None:
    print(text, file=sys.stderr)


_VERDICT = "/verdict.json"


def commit_message(
    passed: Passed, *, environment: str, arn: str, before: str | None, rollback: bool
) -> str:
    """Says version, what it replaces, who approved it, and its signed figures.

    `before` is None where nothing is served.
    """
    verb = "goes back to" if rollback else "serves"
    subject = f"model: {environment} {verb} version {version_number(arn)}"
    if before:
        subject += f" in place of {version_number(before)}"
    judged = passed.judged
    lines = [
        subject,
        "",
        f"Approved: {_one_line(judged.package.get('ApprovalDescription', 'without a reason'))}",
        *_approver(judged.package),
        *(f"Requires {bound}: it holds" for bound in passed.bounds),
        *_figures(passed),
        f"{passed.files} signed files hold; manifest {passed.manifest_sha256}, signed by "
        f"{judged.files.signed_by}",
        "",
        package_line(arn),
        f"Replaces: {before or 'nothing'}",
    ]
    return "\n".join(lines) + "\n"


def package_line(arn: str) -> str:
    """Returns the line by which a delivery's commit is known again."""
    return f"Model-Package: {arn}"


def _approver(package: Mapping[str, Any]) -> Iterator[str]:
    approver = package.get("LastModifiedBy", {}).get("IamIdentity", {}).get("Arn")
    if approver:
        yield f"Last changed in the registry by {approver}"
    source = package.get("CustomerMetadataProperties", {}).get("source.package")
    if source:
        yield f"A copy of {_one_line(source)}, promoted"


def _one_line(text: str) -> str:
    """Returns a text that adds no line to the message and no command to a host's CI.

    Commands such as `[skip ci]` are in square brackets ("Skipping workflow runs", GitHub Docs;
    "Skip a pipeline", GitLab Docs), and trailers have lines of their own.
    """
    line = "".join(letter for letter in " ".join(text.split()) if letter.isprintable())
    return line.translate(str.maketrans("[]", "()"))


def _figures(passed: Passed) -> Iterator[str]:
    """Yields each gate with the figures of its signed verdict."""
    files = passed.judged.files
    for name in sorted(name for name in files.digests if name.endswith(_VERDICT)):
        checks = [item for item in files.json(name)["checks"] if item.get("value") is not None]
        outcome = "; ".join(describe(check) for check in checks) or "no figures"
        yield f"{name.removesuffix(_VERDICT)}: {outcome}"
