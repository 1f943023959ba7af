"""Files: canonical JSON, digests, atomic writes, and those of the engine beside its modules."""

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import sashiko
from sashiko.errors import InputError, disk_reason


@contextmanager
def translate_disk_errors(action: str) -> Iterator[None]:
    """Turns an OSError into an InputError that names the failed action and the fix.

    Raises:
        InputError: if an OSError is raised inside.
    """
    try:
        yield
    except OSError as error:
        path = f" {error.filename}" if error.filename else ""
        raise InputError(f"{action}:{path} {disk_reason(error)}") from error


_HALF_WRITTEN = ".tmp-"


def canonical_json(value: Any) -> bytes:
    """Encodes a JSON value without NaN and infinities; equal values give equal bytes.

    Returns:
        UTF-8 with sorted keys, two-space indent and a final newline.
    """
    text = json.dumps(value, sort_keys=True, indent=2, ensure_ascii=False, allow_nan=False)
    return (text + "\n").encode()


def write_bytes(path: Path, content: bytes) -> None:
    """Writes a file atomically: a reader sees the old file, the new one, or none.

    Raises:
        InputError: if the file cannot be written (disk full, read-only, not a folder).
    """
    with atomic_writer(path) as handle:
        handle.write(content)


@contextmanager
def atomic_writer(path: Path) -> Iterator[IO[bytes]]:
    """Opens a temporary file that replaces `path` on success and is removed on failure.

    Raises:
        InputError: as `write_bytes`.
    """
    temporary = ""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(
            dir=path.parent, prefix=_HALF_WRITTEN, delete=False
        ) as handle:
            temporary = handle.name
            yield handle
            handle.flush()
            os.fsync(handle.fileno())
        Path(temporary).chmod(0o644)
        Path(temporary).replace(path)
    except OSError as error:
        raise InputError(f"cannot write {path}: {disk_reason(error)}") from error
    finally:
        if temporary:
            Path(temporary).unlink(missing_ok=True)


def sweep_half_written(folder: Path) -> None:
    """Removes temporary files and folders of a killed writer anywhere below a folder.

    No other process may write there.
    """
    for path in [path for path in folder.rglob(f"{_HALF_WRITTEN}*") if not path.is_symlink()]:
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def make_folder(folder: Path) -> Path:
    """Creates a folder and returns it."""
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def write_json(path: Path, value: Any) -> None:
    """Writes `value` as canonical JSON, atomically."""
    write_bytes(path, canonical_json(value))


def read_json(path: Path) -> Any:
    """Reads a JSON file.

    Raises:
        InputError: if the file is missing or is not JSON.
    """
    try:
        return json.loads(path.read_bytes())
    except FileNotFoundError as error:
        raise InputError(f"{path} does not exist") from error
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path} is not readable JSON: {error}") from error


def sha256_bytes(content: bytes) -> str:
    """Returns the hex SHA-256 of `content`."""
    return hashlib.sha256(content).hexdigest()


def sha256_file(path: Path) -> str:
    """Returns the hex SHA-256 of a file, read in pieces."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def dir_hash(files: Mapping[str, str]) -> str:
    """Digests a folder as in-toto's `dirHash` does (in-toto/attestation, spec/v1/digest_set.md).

    `files` has path below the folder -> hex SHA-256.
    """
    lines = [f"{files[name]}  {name}\n" for name in sorted(files, key=str.encode)]
    return sha256_bytes("".join(lines).encode())


def walk_files(folder: Path) -> Iterator[Path]:
    """Yields the regular files below `folder`, sorted by their POSIX path relative to it."""
    files = (path for path in folder.rglob("*") if path.is_file())
    yield from sorted(files, key=lambda path: path.relative_to(folder).as_posix())


def lies_within(path: Path, folder: Path) -> bool:
    """Returns whether a path lies below a folder after resolving all links."""
    try:
        place = path.resolve()
        # From Python 3.13 on a link that leads to itself stays as it is.
        looped = any(part.is_symlink() for part in (place, *place.parents))
        return place.is_relative_to(folder.resolve()) and not looped
    except (OSError, RuntimeError):  # a name that is too long, a link that leads to itself
        return False


def sha256_tree(path: Path) -> str:
    """Digests a file, or a folder by the names and contents of the files below it.

    Times, modes and the folder's own name are ignored, so equal content gives equal digests
    on every machine.
    """
    if path.is_file():
        return sha256_file(path)
    lines = [
        f"{sha256_file(file)}  {file.relative_to(path).as_posix()}\n" for file in walk_files(path)
    ]
    return sha256_bytes("".join(lines).encode())


_PACKAGE = Path(sashiko.__file__).parent


def checkout() -> Path | None:
    """Returns the root of the engine's repository, if the engine is installed from a checkout."""
    root = _PACKAGE.parents[1]
    return root if (root / "copier.yml").is_file() else None


def lock_file(name: str) -> Path:
    """Returns a lock of the engine, such as `run`: packages with versions and hashes."""
    root = checkout()
    return root / f"requirements/{name}.txt" if root else _PACKAGE / f"locks/{name}.txt"
