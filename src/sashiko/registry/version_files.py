"""The files of a registered version, where MLflow keeps them on this machine."""

import shutil
import tempfile
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

from sashiko.core.files import sha256_file
from sashiko.errors import InputError, disk_reason

_FILE = "file://"


def is_here(source: str) -> bool:
    """Tells whether a version's source URI is a folder of this machine."""
    return source.startswith(_FILE)


def holds(source: str, name: str, *, sha256: str) -> bool:
    """Tells whether a file at a version's source is there, and is the one of that digest."""
    path = _place(source) / name
    return path.is_file() and sha256_file(path) == sha256


def put_files(files: Path, source: str) -> None:
    """Copies a folder of files to a version's source, in place of what is there, all at once.

    MLflow itself copies them one by one, and one that is killed leaves half a file.

    Raises:
        InputError: if they cannot be written.
    """
    place = _place(source)
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=place.parent, prefix=".tmp-") as scratch:
            shutil.copytree(files, Path(scratch, "new"))
            if place.exists():
                place.rename(Path(scratch, "old"))
            Path(scratch, "new").rename(place)
    except OSError as error:
        raise InputError(f"cannot write {place}: {disk_reason(error)}") from error


def _place(source: str) -> Path:
    return Path(url2pathname(urlsplit(source).path))
