"""What an artifact must not hold: a pickle, or a file that Compile did not write.

Loading a pickle runs whatever code it names, so weights are stored as ONNX or safetensors alone.
No file is loaded here: all are read as bytes.
"""

import hashlib
import pickletools
import tarfile
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import IO

from sashiko.errors import InputError
from sashiko.files import walk_files

_CHUNK_BYTES = 1 << 20
_MOST_MEMBERS = 10_000
_SUFFIXES = frozenset({".ckpt", ".joblib", ".pickle", ".pkl", ".pt", ".pth"})
# Protocols 0 and 1 have no mark, and nothing has written them by default since Python 2.
_PROTOCOLS = tuple(b"\x80" + bytes([number]) for number in range(2, 6))
# Formats of torch.save and torch.jit.save are zips with a `data.pkl`; the second has this beside
# it, by which torch knows it too, and reads it without calling what the pickle names.
_TORCHSCRIPT = "constants.pkl"


def inspect_artifact(archive: Path, *, expected: Mapping[str, str]) -> None:
    """Holds that an artifact has exactly the files that its compile lock names, and no pickle.

    Args:
        archive: the `model.tar.gz`.
        expected: name -> hex SHA-256.

    Raises:
        InputError: naming the file: a pickle, changed, missing, or one too many.
    """
    found: dict[str, str] = {}
    try:
        with tarfile.open(archive, "r:gz") as tar:
            for member in plain_members(tar, archive=archive):
                content = tar.extractfile(member)
                if content is not None:
                    _refuse_pickle(content, member.name, archive)
                    content.seek(0)
                    found[member.name] = _sha256(content)
    except (OSError, EOFError, tarfile.TarError) as error:
        raise InputError(f"{archive} cannot be read: {error}; run Compile again") from error
    for name in sorted(found.keys() | expected.keys()):
        if found.get(name) != expected.get(name):
            raise InputError(
                f"{archive}: {name} {_difference(name, found, expected)}; it was changed after "
                "Compile: run the pipeline again"
            )


def plain_members(tar: tarfile.TarFile, *, archive: Path) -> Iterator[tarfile.TarInfo]:
    """Yields an archive's members as they come, which may be files and folders alone.

    Args:
        tar: open for reading.
        archive: its path, for the message.

    Raises:
        InputError: naming the member: a link, a device, a pipe, a name that leads out of the
            folder or stands twice; or one member too many.
    """
    names: set[str] = set()
    for member in tar:
        path = PurePosixPath(member.name)
        if not (member.isreg() or member.isdir()):
            problem = "is a link, a device or a pipe"
        elif path.is_absolute() or ".." in path.parts:
            problem = "leads out of the folder"
        elif member.isreg() and str(path) in names:
            problem = "stands in it twice"
        elif len(names) == _MOST_MEMBERS:
            problem = f"is one file more than the {_MOST_MEMBERS:,} that are read"
        else:
            names.add(str(path))
            yield member
            continue
        raise InputError(f"{archive}: {member.name} {problem}: Compile writes no such archive")


def refuse_pickles(folder: Path, *, archive: Path) -> None:
    """Holds that an unpacked artifact has no pickle in it, whatever its files are called.

    Args:
        folder: where it lies.
        archive: what it was unpacked from, for the message.

    Raises:
        InputError: naming the file.
    """
    for path in walk_files(folder):
        with path.open("rb") as content:
            _refuse_pickle(content, path.relative_to(folder).as_posix(), archive)


def _difference(name: str, found: Mapping[str, str], expected: Mapping[str, str]) -> str:
    if name not in found:
        return "is missing, the compile lock names it"
    if name not in expected:
        return "is not in the compile lock"
    return f"has sha256 {found[name]}, the compile lock says {expected[name]}"


def _refuse_pickle(content: IO[bytes], name: str, archive: Path) -> None:
    if PurePosixPath(name).suffix.lower() in _SUFFIXES or _is_pickle(content):
        raise InputError(
            f"{archive}: {name} is a pickle, which runs code when it is loaded; store weights as "
            "safetensors or ONNX"
        )


def _is_pickle(content: IO[bytes]) -> bool:
    beginning = content.read(4)
    content.seek(0)
    if beginning.startswith(b"PK"):
        return _holds_pickle(content)
    # Weights may begin with the same two bytes by chance, but do not read on as a pickle.
    return beginning.startswith(_PROTOCOLS) and _reads_as_pickle(content)


def _holds_pickle(content: IO[bytes]) -> bool:
    try:
        with zipfile.ZipFile(content) as archive:
            inside = {PurePosixPath(name).name for name in archive.namelist()}
    except zipfile.BadZipFile:
        return False
    return any(name.endswith(".pkl") for name in inside) and _TORCHSCRIPT not in inside


def _reads_as_pickle(content: IO[bytes]) -> bool:
    """Takes a pickle's operations apart up to its end, executing none."""
    try:
        for _ in pickletools.genops(content):
            pass
    except Exception:  # whatever else it is
        return False
    return True


def _sha256(content: IO[bytes]) -> str:
    digest = hashlib.sha256()
    while chunk := content.read(_CHUNK_BYTES):
        digest.update(chunk)
    return digest.hexdigest()
