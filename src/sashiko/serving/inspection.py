"""Checks that an artifact contains no pickle, and no file that Compile did not write.

Loading a pickle runs the code that it names, so weights are stored as ONNX or safetensors only.
Files are read as bytes here, never loaded.
"""

import io
import os
import pickletools
import tempfile
import zipfile
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from sashiko.base.files import sha256_file, walk_files
from sashiko.errors import InputError, disk_reason
from sashiko.serving.container import tar_reader
from sashiko.serving.container.tar_reader import ArchiveError, shown

_SUFFIXES = frozenset({".ckpt", ".joblib", ".pickle", ".pkl", ".pt", ".pth"})
# Protocols 0 and 1 have no such prefix; nothing has written them by default since Python 2.
_PROTOCOLS = frozenset(b"\x80" + bytes([number]) for number in range(6))
# torch.save and torch.jit.save both write zips with a `data.pkl`. torch recognizes the second
# format by this file, and loads it without calling what the pickle names.
_TORCHSCRIPT = "constants.pkl"
_OPERATIONS = {operation.code: operation for operation in pickletools.opcodes}
# All but STOP import what the pickle calls as soon as they are read, whatever follows.
_ENDS = frozenset({"GLOBAL", "INST", "STACK_GLOBAL", "EXT1", "EXT2", "EXT4", "STOP"})
_MAX_OPERATIONS = 100_000
# The size in bytes of an argument's length field.
_LENGTH_FIELDS = {
    pickletools.TAKEN_FROM_ARGUMENT1: 1,
    pickletools.TAKEN_FROM_ARGUMENT4: 4,
    pickletools.TAKEN_FROM_ARGUMENT4U: 4,
    pickletools.TAKEN_FROM_ARGUMENT8U: 8,
}
_MAX_READ_BYTES = 1 << 22  # of a zip's table of contents


def inspect_artifact(archive: Path, *, expected: Mapping[str, str]) -> None:
    """Checks that an artifact has exactly the files that its compile lock names, and no pickle.

    `expected` is name -> hex SHA-256.

    Raises:
        InputError: as `unpack`; or if a file is a pickle, changed, missing or not in the lock.
    """
    with tempfile.TemporaryDirectory(prefix="sashiko-artifact-") as name:
        folder = Path(name)
        unpack(archive, folder)
        refuse_pickles(folder, archive=archive)
        actual = {
            path.relative_to(folder).as_posix(): sha256_file(path) for path in walk_files(folder)
        }
    for name in sorted(actual.keys() | expected.keys()):
        if actual.get(name) == expected.get(name):
            continue
        problem = f"has sha256 {actual.get(name)}, the compile lock says {expected.get(name)}"
        if name not in actual:
            problem = "is missing, the compile lock names it"
        elif name not in expected:
            problem = "is not in the compile lock"
        raise InputError(
            f"{archive}: {shown(name)} {problem}; it was changed after Compile: run the pipeline "
            "again"
        )


def unpack(archive: Path, folder: Path) -> None:
    """Unpacks a tar.gz of files into an empty folder.

    Raises:
        InputError: if it is missing or damaged, contains a link, a device or a path outside
            `folder`, or does not fit on the disk.
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
    """Checks that an unpacked artifact contains no pickle, whatever its files are called.

    A pickle is recognized by its suffix or by its protocol's prefix. Protocols 0 and 1 may have no
    prefix, but such a file is only unpickled by code that expects a pickle. `archive` is for the
    message.

    Raises:
        InputError: if a file is a pickle, with its name.
    """
    for path in walk_files(folder):
        with _Bounded(io.FileIO(path)) as content:
            beginning = content.read(2)
            content.seek(0)
            if beginning == b"PK":
                pickled = _contains_pickle(content)
            else:
                # Weights may begin with a protocol's bytes, but do not read on as a pickle.
                pickled = beginning in _PROTOCOLS and _reads_as_pickle(content)
        if pickled or path.suffix.lower() in _SUFFIXES:
            name = shown(path.relative_to(folder).as_posix())
            raise InputError(
                f"{archive}: {name} is a pickle, which runs code when it is loaded; store weights "
                "as safetensors or ONNX"
            )


class _Bounded(io.BufferedReader):
    """A file with bounded reads: a zip itself states how long its table of contents is."""

    def read(self, size: int | None = -1, /) -> bytes:
        limit = _MAX_READ_BYTES + 1
        content = super().read(limit if size is None or size < 0 else min(size, limit))
        if len(content) == limit:
            raise OverflowError(f"a read of more than {_MAX_READ_BYTES:,} bytes")
        return content


def _contains_pickle(content: _Bounded) -> bool:
    try:
        with zipfile.ZipFile(content) as archive:
            paths = [PurePosixPath(name) for name in archive.namelist()]
    except zipfile.BadZipFile as error:
        # `is_zipfile` would say as little of one that lies on two disks, from Python 3.13 on.
        return str(error) != "File is not a zip file"
    except Exception:  # another reader may accept it
        return True
    pickles = [path for path in paths if path.suffix == ".pkl"]
    # torch looks for the file only in the one top-level folder of the zip.
    script = len({path.parts[0] for path in paths if path.parts}) == 1 and any(
        path.parts[1:] == (_TORCHSCRIPT,) for path in paths
    )
    return bool(pickles) and not script


def _reads_as_pickle(content: _Bounded) -> bool:
    """Skips a pickle's operations, executing none, up to its end or its first import.

    Arguments are not checked, as readers of pickles differ in what they refuse.
    """
    for _ in range(_MAX_OPERATIONS):
        operation = _OPERATIONS.get(content.read(1).decode("latin-1"))
        if operation is None:
            return False
        if operation.name in _ENDS:
            return True
        if operation.arg is None:
            continue
        length = operation.arg.n
        if length == pickletools.UP_TO_NEWLINE:
            while not (line := content.readline(_MAX_READ_BYTES)).endswith(b"\n"):
                if not line:
                    return False
            continue
        if length < 0:
            length = int.from_bytes(content.read(_LENGTH_FIELDS[length]), "little")
        end = content.tell() + length
        if end > os.fstat(content.fileno()).st_size:
            return False
        content.seek(end)
    return True
