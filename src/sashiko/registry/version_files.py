"""The files of a registered version in MLflow's local artifact store."""

import shutil
import tempfile
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

from sashiko.base.files import sha256_file
from sashiko.errors import InputError, disk_reason

_FILE = "file://"


def is_here(source: str) -> bool:
    """Returns whether a version's source URI is a local folder."""
    return source.startswith(_FILE)


def holds(source: str, name: str, *, sha256: str) -> bool:
    """Returns whether a version's source has a file of that digest."""
    path = _folder(source) / name
    return path.is_file() and sha256_file(path) == sha256


def put_files(files: Path, source: str) -> None:
    """Replaces a version's source with a folder of files, atomically.

    MLflow copies them one by one, so a killed job would leave a partial file.

    Raises:
        InputError: if they cannot be written.
    """
    folder = _folder(source)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".tmp-") as scratch:
            shutil.copytree(files, Path(scratch, "new"))
            if folder.exists():
                folder.rename(Path(scratch, "old"))
            Path(scratch, "new").rename(folder)
    except OSError as error:
        raise InputError(f"cannot write {folder}: {disk_reason(error)}") from error


def _folder(source: str) -> Path:
    return Path(url2pathname(urlsplit(source).path))
