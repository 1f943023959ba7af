"""The versions that an environment has served, from the history of its settings file."""

from collections.abc import Iterator
from pathlib import Path

from sashiko.errors import InputError
from sashiko_packs.delivery.repository import Repository
from sashiko_packs.delivery.settings_change import named_version


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
