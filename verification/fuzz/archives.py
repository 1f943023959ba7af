"""Archives that somebody made up: what may come of one, where to begin, and how to bend one.

An input is the tar itself, so that gzip's checksum does not stop a change at the door; one that
begins as gzip does is taken as it is.
"""

import gzip
import hashlib
import io
import json
import os
import pickle
import random
import stat
import tarfile
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path

from sashiko.errors import InputError
from sashiko.serving.container import text
from sashiko.serving.container.pack import pack
from sashiko.serving.container.tar_reader import ArchiveError, read_files
from sashiko.serving.inspection import inspect_artifact, unpack

NAME = "archives"
LONGEST = 1 << 16  # bytes of an input
WORDS = (
    b"ustar\x0000", b"ustar  \0", b"../", b"/", b"\x80", b"\xff", b"GNU.sparse.map=1,2\n",
    b"GNU.sparse.major=1\n", b"12 path=../a\n", b"11 size=-1\n", b"19 size=9999999999\n",
    b"18 hdrcharset=BINARY\n", b"././@LongLink", b"././@PaxHeader", b"code/inference.py",
    b"PK\x03\x04", b"PK\x05\x06", b"data.pkl", b"\x80\x02", b"\x80\x04\x95", b"cos\nsystem\n",
)  # fmt: skip
_BLOCK = 512
_GZIP = b"\x1f\x8b"
_BLOWN_UP = 1032  # times at most: deflate's own bound
_PICKLES = (
    *(pickle.dumps({"a": [1, "b" * 300]}, protocol=number) for number in (2, 4)),
    b"\x80\x04]\x94.", b"\x80\x02cos\nsystem\nq\0X", b"\x80\x02(ios\nsystem\n",
    b"\x80\x04\x95\0\0\0\0\0\0\0\0\x8c\x02os\x8c\x06system\x93", b"\x80\x02I0x1\n0cos\nsystem\n",
)  # fmt: skip
_KINDS = b"01234567LKxgXS\0AV"
_NAMES = (
    "../up", "/top", "a/../../up", "a", "a/b", "./a", "a/", ".", "", "serving.json", "\n\x1b[",
)  # fmt: skip


def check(data: bytes, scratch: Path) -> None:
    """Unpacks, inspects and reads a tar or tar.gz, and asserts the invariants.

    The empty folder `scratch` is left empty. Any other error than AssertionError is a finding too.
    """
    with tempfile.TemporaryDirectory(dir=scratch) as name:
        # Deep enough for a name that climbs two folders to be seen.
        place = Path(name, "a", "b")
        place.mkdir(parents=True)
        archive, folder = place / "model.tar.gz", place / "unpacked"
        compressed = data if data.startswith(_GZIP) else gzip.compress(data, 1, mtime=0)
        archive.write_bytes(compressed)
        folder.mkdir()
        reason = _refusal(lambda: unpack(archive, folder), archive)
        files = _files(folder)
        beside = [path for path in Path(name).rglob("*") if not path.is_relative_to(folder)]
        assert sorted(beside) == [place.parent, place, archive]
        assert archive.read_bytes() == compressed
        most = _BLOWN_UP * len(compressed) if data is compressed else len(data)
        assert sum(len(content) for content in files.values()) <= most
        _agrees(archive, files, refused=reason is not None)


def _agrees(archive: Path, files: dict[str, bytes], *, refused: bool) -> None:
    """Asserts that all readers of an archive see the same files in it."""
    expected = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    reason = _refusal(lambda: inspect_artifact(archive, expected=expected), archive)
    assert reason is None or refused or "is a pickle" in reason
    assert reason is not None or not (refused or any(map(_is_pickle, files.values())))
    changed = {**expected, "serving.json": "0" * 64}
    assert _refusal(lambda: inspect_artifact(archive, expected=changed), archive)
    try:
        read = read_files(archive, files, at_most=LONGEST * _BLOWN_UP)
    except ArchiveError as error:
        assert refused, error
    else:
        assert refused or read == files


class _ImportedError(Exception):
    """A pickle asked for something to call."""


class _Unpickler(pickle._Unpickler):  # Python's own asks for no more memory than it reads
    def find_class(self, module: str, name: str) -> object:
        raise _ImportedError


def _is_pickle(content: bytes) -> bool:
    """Unpickles what begins with a protocol's mark, but for what it would call."""
    if content[:1] != b"\x80":
        return False
    try:
        _Unpickler(io.BytesIO(content)).load()
    except _ImportedError:
        return True
    except Exception:
        return False
    return True


def _refusal(read: Callable[[], None], archive: Path) -> str | None:
    """The one message that names the archive, is short, and can be printed anywhere; or none."""
    try:
        read()
    except InputError as error:
        message = str(error)
        assert message.startswith(str(archive))
        assert len(message.encode()) < 1000
        assert message.isprintable()
        return message
    return None


def _files(folder: Path) -> dict[str, bytes]:
    """Reads what lies below a folder, which may be plain files and folders alone."""
    contents = {}
    for above, folders, files in os.walk(folder):
        for name in (*folders, *files):
            path = Path(above, name)
            name.encode()
            status = path.lstat()
            assert stat.S_ISDIR(status.st_mode) or (
                stat.S_ISREG(status.st_mode) and status.st_nlink == 1
            ), f"{path} is no plain file"
            assert not status.st_mode & 0o7000, f"{path} has mode {status.st_mode:o}"
            if name in files:
                contents[path.relative_to(folder).as_posix()] = path.read_bytes()
    return contents


def seeds() -> dict[str, bytes]:
    """Archives as Compile, Python and GNU tar write them, each way that a member can be refused."""
    packed = _packed()
    small = tar_of(member("serving.json", b'{"target": "cpu"}'), member("weights.bin", bytes(999)))
    inputs = {
        "packed.gz": packed,
        "packed": gzip.decompress(packed).rstrip(b"\0") + bytes(2 * _BLOCK),
        "small.gz": gzip.compress(small, 9, mtime=0),
    }
    formats = {"ustar": tarfile.USTAR_FORMAT, "gnu": tarfile.GNU_FORMAT, "pax": tarfile.PAX_FORMAT}
    for name, kind in formats.items():
        inputs[name] = tar_of(
            member("serving.json", b"{}"), member("code", kind=tarfile.DIRTYPE),
            member("code/a.py", b"a = 1\n", mtime=1.5), member("a" * 90 + "/weights", b"w"),
            kind=kind,
        )  # fmt: skip
    long = "/".join(["long" * 20] * 3)
    inputs["gnu-long"] = tar_of(member(long, b"w"), kind=tarfile.GNU_FORMAT)
    inputs["pax-long"] = tar_of(member(long, b"\xe9"), kind=tarfile.PAX_FORMAT)
    records = {"path": "other", "size": "1", "comment": "x"}
    inputs["pax-path"] = tar_of(member("a", b"w", pax_headers=records), kind=tarfile.PAX_FORMAT)
    for kind in _KINDS:
        odd = member("odd", kind=bytes([kind]), linkname="/etc/passwd", mode=0o6777)
        inputs[f"kind-{kind}"] = tar_of(member("a", b"a"), odd)
    for number, name in enumerate(_NAMES):
        inputs[f"name-{number}"] = tar_of(member("serving.json", b"{}"), member(name, b"x"))
    for number, content in enumerate((*_PICKLES, _zipped())):
        inputs[f"content-{number}"] = tar_of(member("weights.bin", content))
    return inputs


def tar_of(
    *members: tuple[tarfile.TarInfo, bytes], kind: int = tarfile.GNU_FORMAT, end: int = 2
) -> bytes:
    """Writes members one after the other, and so many blocks of zeros."""
    pieces = []
    for info, content in members:
        pieces += [info.tobuf(kind), content, b"\0" * (-len(content) % _BLOCK)]
    return b"".join(pieces) + b"\0" * _BLOCK * end


def member(
    name: str, content: bytes = b"", kind: bytes = tarfile.REGTYPE, **fields: object
) -> tuple[tarfile.TarInfo, bytes]:
    """A member's header, and its content."""
    info = tarfile.TarInfo(name)
    info.type, info.size = kind, len(content)
    for field, value in fields.items():
        setattr(info, field, value)
    return info, content


def mutate(data: bytes, *, change: Callable[[bytes], bytes], seed: int) -> bytes:
    """Changes an archive by bytes, by blocks or by a header's fields, and fixes the checksums."""
    chance = random.Random(seed)  # noqa: S311 - it is no secret
    if data.startswith(_GZIP):
        return change(data)
    blocks = [data[position : position + _BLOCK] for position in range(0, len(data), _BLOCK)] or [
        b""
    ]
    position = chance.randrange(len(blocks))
    way = chance.randrange(6)
    if way == 0:
        blocks.insert(chance.randrange(len(blocks) + 1), blocks[position])
    elif way == 1:
        del blocks[position]
    elif way == 2 and len(blocks[position]) == _BLOCK:
        blocks[position] = _with_other_field(blocks[position], chance)
    else:
        data = change(data)
        blocks = [data[position : position + _BLOCK] for position in range(0, len(data), _BLOCK)]
    return b"".join(_fix_checksum(block) if chance.random() < 0.95 else block for block in blocks)


def _with_other_field(block: bytes, chance: random.Random) -> bytes:
    field, value = chance.choice(
        (
            ((156, 157), bytes([chance.choice(_KINDS)])),
            ((124, 136), b"%011o\0" % chance.choice((0, 1, 511, 512, 513, 8192, 1 << 32))),
            ((124, 136), chance.choice((b"\x80", b"\xff")) + chance.randbytes(11)),
            ((0, 100), chance.choice(_NAMES).encode()),
            ((345, 500), chance.choice(_NAMES).encode()),
            ((257, 265), chance.choice((b"ustar\x0000", b"ustar  \0", b"\0"))),
        )
    )
    start, end = field
    return block[:start] + value.ljust(end - start, b"\0") + block[end:]


def _fix_checksum(block: bytes) -> bytes:
    """Puts the right checksum into a block that has one; another looks unlike a header."""
    if len(block) != _BLOCK or not block.strip(b"\0") or block[148:154].strip(b"01234567"):
        return block
    total = sum(block) - sum(block[148:156]) + 8 * ord(" ")
    return block[:148] + b"%06o\0 " % total + block[156:]


def _packed() -> bytes:
    """A small artifact by Compile's own writer."""
    with tempfile.TemporaryDirectory() as name:
        folder, archive = Path(name, "artifact"), Path(name, "model.tar.gz")
        (folder / "code").mkdir(parents=True)
        (folder / "code" / "text.py").write_bytes(Path(text.__file__).read_bytes())
        (folder / "serving.json").write_text(json.dumps({"target": "cpu", "labels": ["no", "yes"]}))
        (folder / "weights.bin").write_bytes(bytes(range(256)))
        pack(folder, archive)
        return archive.read_bytes()


def _zipped() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("archive/data.pkl", b"\x80\x02}.")
    return buffer.getvalue()
