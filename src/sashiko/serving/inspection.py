"""What an artifact must not hold: a pickle, or a file that Compile did not write.

Loading a pickle runs whatever code it names, so weights are stored as ONNX or safetensors alone.
No file is loaded here: all are read as bytes.
"""

import io
import os
import pickletools
import tempfile
import zipfile
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from sashiko.core.files import sha256_file, walk_files
from sashiko.errors import InputError, disk_reason
from sashiko.serving.container import tar_reader
from sashiko.serving.container.tar_reader import ArchiveError, shown

_SUFFIXES = frozenset({".ckpt", ".joblib", ".pickle", ".pkl", ".pt", ".pth"})
# Protocols 0 and 1 need no mark, and nothing has written them by default since Python 2.
_PROTOCOLS = frozenset(b"\x80" + bytes([number]) for number in range(6))
# Formats of torch.save and torch.jit.save are zips with a `data.pkl`; the second has this beside
# it, by which torch knows it too, and reads it without calling what the pickle names.
_TORCHSCRIPT = "constants.pkl"
_OPERATIONS = {operation.code: operation for operation in pickletools.opcodes}
# All but the last import what a pickle calls, as soon as they are read and whatever follows.
_ENDS = frozenset({"GLOBAL", "INST", "STACK_GLOBAL", "EXT1", "EXT2", "EXT4", "STOP"})
_MOST_OPERATIONS = 100_000
# How many bytes hold an argument's length.
_LENGTH_FIELDS = {
    pickletools.TAKEN_FROM_ARGUMENT1: 1,
    pickletools.TAKEN_FROM_ARGUMENT4: 4,
    pickletools.TAKEN_FROM_ARGUMENT4U: 4,
    pickletools.TAKEN_FROM_ARGUMENT8U: 8,
}
_LONGEST_READ = 1 << 22  # bytes: of a zip's table of contents


def inspect_artifact(archive: Path, *, expected: Mapping[str, str]) -> None:
    """Holds that an artifact has exactly the files that its compile lock names, and no pickle.

    Args:
        archive: the `model.tar.gz`.
        expected: name -> hex SHA-256.

    Raises:
        InputError: as `unpack`, or naming the file: a pickle, changed, missing, or one too many.
    """
    with tempfile.TemporaryDirectory(prefix="sashiko-artifact-") as name:
        folder = Path(name)
        unpack(archive, folder)
        refuse_pickles(folder, archive=archive)
        found = {
            path.relative_to(folder).as_posix(): sha256_file(path) for path in walk_files(folder)
        }
    for name in sorted(found.keys() | expected.keys()):
        if found.get(name) != expected.get(name):
            raise InputError(
                f"{archive}: {shown(name)} {_difference(name, found, expected)}; it was changed "
                "after Compile: run the pipeline again"
            )


def unpack(archive: Path, folder: Path) -> None:
    """Unpacks a tar.gz of files into an empty folder.

    Raises:
        InputError: if it is missing or damaged, holds a link, a device, a path that leaves
            `folder`, or more than there is room for.
    """
    try:
        tar_reader.unpack(archive, folder)
    except FileNotFoundError as error:
        raise InputError(f"{archive} does not exist") from error
    except ArchiveError as error:
        raise InputError(f"{archive} cannot be unpacked: {error}") from error
    except OSError as error:
        raise InputError(f"{archive} cannot be unpacked: {disk_reason(error)}") from error


def refuse_pickles(folder: Path, *, archive: Path) -> None:
    """Holds that an unpacked artifact has no pickle in it, whatever its files are called.

    A pickle is known by its suffix, or by its protocol's mark at its beginning: what begins
    otherwise (protocols 0 and 1 may) is text to whoever was not told to unpickle it.

    Args:
        folder: where it lies.
        archive: what it was unpacked from, for the message.

    Raises:
        InputError: naming the file.
    """
    for path in walk_files(folder):
        if path.suffix.lower() in _SUFFIXES or _is_pickle(path):
            name = shown(path.relative_to(folder).as_posix())
            raise InputError(
                f"{archive}: {name} is a pickle, which runs code when it is loaded; store weights "
                "as safetensors or ONNX"
            )


def _difference(name: str, found: Mapping[str, str], expected: Mapping[str, str]) -> str:
    if name not in found:
        return "is missing, the compile lock names it"
    if name not in expected:
        return "is not in the compile lock"
    return f"has sha256 {found[name]}, the compile lock says {expected[name]}"


class _TooLongError(Exception):
    """A read of more than is read at once."""


class _Bounded(io.BufferedReader):
    """A zip, which says itself how long its table of contents is."""

    def read(self, size: int | None = -1, /) -> bytes:
        most = _LONGEST_READ + 1
        found = super().read(most if size is None or size < 0 else min(size, most))
        if len(found) == most:
            raise _TooLongError
        return found


def _is_pickle(path: Path) -> bool:
    with _Bounded(io.FileIO(path)) as content:
        beginning = content.read(2)
        content.seek(0)
        if beginning == b"PK":
            return _holds_pickle(content)
        # Weights may begin with the same two bytes by chance, but do not read on as a pickle.
        return beginning in _PROTOCOLS and _reads_as_pickle(content)


def _holds_pickle(content: _Bounded) -> bool:
    try:
        if not zipfile.is_zipfile(content):
            return False
        with zipfile.ZipFile(content) as archive:
            inside = [PurePosixPath(name) for name in archive.namelist()]
    except Exception:  # what others may be able to read
        return True
    pickles = [path for path in inside if path.suffix == ".pkl"]
    # It is in the folder that holds all of a model's, or torch does not look at it.
    script = len({path.parts[0] for path in inside if path.parts}) == 1 and any(
        path.parts[1:] == (_TORCHSCRIPT,) for path in inside
    )
    return bool(pickles) and not script


def _reads_as_pickle(content: _Bounded) -> bool:
    """Passes over a pickle's operations, executing none, to its end or its first import.

    What an argument says does not matter: what one reader of pickles refuses, another takes.
    """
    for _ in range(_MOST_OPERATIONS):
        operation = _OPERATIONS.get(content.read(1).decode("latin-1"))
        if operation is None:
            return False
        if operation.name in _ENDS:
            return True
        if operation.arg is not None and not _skips(content, operation.arg.n):
            return False
    return True


def _skips(content: _Bounded, length: int) -> bool:
    """Passes over an argument; says whether it is there."""
    if length == pickletools.UP_TO_NEWLINE:
        return _skips_line(content)
    if length < 0:
        field = content.read(_LENGTH_FIELDS[length])
        length = int.from_bytes(field, "little")
    end = content.tell() + length
    if end > os.fstat(content.fileno()).st_size:
        return False
    content.seek(end)
    return True


def _skips_line(content: _Bounded) -> bool:
    while line := content.readline(_LONGEST_READ):
        if line.endswith(b"\n"):
            return True
    return False
