"""Reads an untrusted tar.gz of plain files and folders, in bounded memory.

`tarfile` trusts its input: it loads a long name or a pax header of any size into memory, searches
it in quadratic time, follows headers by recursion, and accepts negative sizes. This module reads
what tar, GNU tar and Python write for plain files: ustar, GNU's long names and large sizes, and
pax's `path` and `size` (POSIX.1-2017, pax, "ustar Interchange Format"). It is one file, as it is
imported both from the package and, in an image, as a file by itself.
"""

import gzip
import re
import shutil
import zlib
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

_BLOCK = 512
_CHUNK_BYTES = 1 << 20
_MAX_ENTRIES = 10_000
_MAX_DEPTH = 32  # parts of a path
_MAX_EXTENSIONS = 8  # in a row: a long name, a link's target, pax's of a member and of all members
_MAX_EXTENSION_BYTES = 1 << 14
_MAX_NAME_BYTES = 1024
_MAX_PART_BYTES = 255  # of common file systems
_MAX_REST_BYTES = 1 << 20  # after the end; writers fill up to 10 KiB
_MAX_NUMBER = (1 << 63) - 1
_MAX_SHOWN = 100  # letters of a name, in a message
_RERUN = "; run the step that wrote it again"

_FILES = (b"0", b"\0", b"7")  # the last is a contiguous file, on systems that have them
_FOLDER = b"5"
_PAX = (b"x", b"X")  # the second is Solaris's
_LONG_NAME = b"L"
_GLOBAL_PAX = b"g"  # of all members: a date, a comment
_IGNORED = (b"K", _GLOBAL_PAX)  # the first is the target of a link, and links are refused
_MEMBER_KEYS = frozenset({b"path", b"size", b"hdrcharset"})
_KINDS = {
    b"1": "a link", b"2": "a link", b"3": "a device", b"4": "a device", b"6": "a pipe",
    b"S": "a file with holes",
}  # fmt: skip


class ArchiveError(ValueError):
    """An archive is damaged, or contains a refused member; the message names it and the reason."""


@dataclass(frozen=True)
class Member:
    """A file or a folder."""

    path: PurePosixPath  # within the archive
    size: int | None  # in bytes; None of a folder


def unpack(archive: Path, folder: Path) -> None:
    """Unpacks a tar.gz into a folder of its own, which is created if it is missing.

    Nothing outside of it is written; the archive's owners, modes and times are ignored.

    Raises:
        ArchiveError: if it is damaged, contains anything but files and folders within `folder`, or
            does not fit on the disk once unpacked.
        OSError: if it is missing, or a file cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    room = shutil.disk_usage(folder).free
    for member, content in read_members(archive):
        target = folder / member.path
        if member.size is None:
            target.mkdir(parents=True, exist_ok=True)
            continue
        room -= member.size
        if room < 0:
            raise ArchiveError(
                f"{shown(str(member.path))} does not fit on the disk of {folder}: free some space, "
                "or set TMPDIR to a folder on another"
            )
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("xb") as handle:
            handle.writelines(content)


def read_files(archive: Path, names: Collection[str], *, at_most: int) -> dict[str, bytes]:
    """Reads files of a tar.gz: path -> content, without those that it does not have.

    `at_most` is the largest size of a file, in bytes.

    Raises:
        ArchiveError: if it is damaged, or a file is larger.
        OSError: if it is missing.
    """
    contents: dict[str, bytes] = {}
    for member, content in read_members(archive):
        name = str(member.path)
        if member.size is not None and name in names:
            if member.size > at_most:
                raise ArchiveError(f"{shown(name)} has more than {at_most:,} bytes")
            contents[name] = b"".join(content)
    return contents


def read_members(archive: Path) -> Iterator[tuple[Member, Iterator[bytes]]]:
    """Yields an archive's members in their order, each with its content in pieces of 1 MiB.

    Raises:
        ArchiveError: as `unpack`, except for the disk.
        OSError: if the archive is missing.
    """
    with gzip.open(archive) as stream:
        entries: dict[PurePosixPath, bool] = {}
        count = 0
        while (member := _next_member(stream)) is not None:
            count += 1
            if max(count, len(entries)) > _MAX_ENTRIES:
                raise ArchiveError(
                    f"{shown(str(member.path))} is one more than the {_MAX_ENTRIES:,} files and "
                    "folders that are read"
                )
            # Entries with their parent folders: path -> whether it is a folder.
            path, folder = member.path, member.size is None
            if len(path.parts) > _MAX_DEPTH:
                raise ArchiveError(f"{shown(str(path))} is in {_MAX_DEPTH} folders or more")
            if not all(entries.setdefault(parent, True) for parent in path.parents[:-1]):
                raise ArchiveError(f"{shown(str(path))} is in a file")
            if path in entries and not (folder and entries[path]):
                raise ArchiveError(f"{shown(str(path))} occurs twice")
            entries[path] = folder
            content = _content(stream, member.size or 0)
            yield member, content
            for _ in content:  # the rest, if the caller did not read it
                pass
        if not stream.tell():
            raise ArchiveError(f"is empty{_RERUN}")
        # The padding of the last record: gzip checks the bytes only at its end.
        rest = 0
        while chunk := _read(stream, _BLOCK):
            if chunk.strip(b"\0"):  # some readers would read on
                raise ArchiveError("has data after its end")
            rest += len(chunk)
            if rest > _MAX_REST_BYTES:
                raise ArchiveError(f"has more than {_MAX_REST_BYTES:,} bytes after its end")


def shown(name: str) -> str:
    """Returns the beginning of a name for a message, with control characters escaped."""
    return repr(name[:_MAX_SHOWN])[1:-1]


def _next_member(stream: gzip.GzipFile) -> Member | None:
    name: bytes | None = None
    size: int | None = None
    has_name = False
    for _ in range(_MAX_EXTENSIONS + 1):
        header = _header(stream)
        if header is None:
            return None
        kind, own_name, own_size = header
        if kind not in (*_PAX, _LONG_NAME, *_IGNORED):
            name = own_name if name is None else name
            return _member(kind, name, own_size if size is None else size)
        if own_size > _MAX_EXTENSION_BYTES:
            most = f"of which at most {_MAX_EXTENSION_BYTES:,} are read"
            raise ArchiveError(f"has a header of {own_size:,} bytes, {most}")
        text = b"".join(_content(stream, own_size))
        if kind in (*_PAX, _LONG_NAME):
            if has_name:  # some readers take the first, some the last
                raise ArchiveError("names a member in two headers")
            has_name = True
        if kind == _LONG_NAME:
            name = text.partition(b"\0")[0]
        elif kind in _PAX:
            records = dict(_records(text))
            name = records.get(b"path", name)
            size = _decimal(records[b"size"]) if b"size" in records else size
        elif kind == _GLOBAL_PAX and _MEMBER_KEYS.intersection(dict(_records(text))):
            raise ArchiveError("names all members by one header")
    raise ArchiveError(f"has more than {_MAX_EXTENSIONS} headers for one member")


def _member(kind: bytes, name: bytes, size: int) -> Member:
    try:
        text = name.decode()
    except UnicodeDecodeError as error:
        raise ArchiveError(f"{shown(name.decode(errors='replace'))} is not in UTF-8") from error
    path = PurePosixPath(text)
    folder = kind == _FOLDER or (kind == b"\0" and text.endswith("/"))
    if not folder and kind not in _FILES:
        problem = f"is {_KINDS.get(kind, 'of an unknown kind')}"
    elif path.is_absolute() or ".." in path.parts:
        problem = "is outside the folder"
    elif (
        "\0" in text
        or len(name) > _MAX_NAME_BYTES
        or not (folder or path.parts)
        or any(len(part.encode()) > _MAX_PART_BYTES for part in path.parts)
    ):
        problem = "is not a valid file name"
    else:
        return Member(path, None if folder else size)
    raise ArchiveError(f"{shown(text)} {problem}: only plain files and folders are read")


def _header(stream: gzip.GzipFile) -> tuple[bytes, bytes, int] | None:
    """Reads a header's kind, name and size; None at the end: zeros, or no more bytes, like tar."""
    block = _read(stream, _BLOCK)
    if not block.strip(b"\0") and len(block) in (0, _BLOCK):
        return None
    if len(block) != _BLOCK:
        raise ArchiveError(f"ends within a header{_RERUN}")
    # The checksum counts its own field as spaces.
    if _number(block[148:156]) != sum(block) - sum(block[148:156]) + 8 * ord(" "):
        raise ArchiveError(f"has a header whose checksum is wrong{_RERUN}")
    name = block[:100].partition(b"\0")[0]
    prefix = block[345:500].partition(b"\0")[0]
    if prefix:
        # GNU's format, `ustar  `, has times there, which some readers take for a folder.
        if block[257:263] != b"ustar\0":
            raise ArchiveError("has a header that is not a plain file's")
        name = prefix + b"/" + name
    return block[156:157], name, _number(block[124:136])


def _records(text: bytes) -> Iterator[tuple[bytes, bytes]]:
    r"""Yields pax's records, `<length> <key>=<value>\n`; the length counts all of these bytes.

    Raises:
        ArchiveError: if a record is malformed, or the file is sparse: its holes are left out.
    """
    start = 0
    while start < len(text):
        digits, space, _ = text[start : start + 8].partition(b" ")
        length = _decimal(digits)
        record = text[start : start + length]
        key, equals, value = record[len(digits) + 1 : -1].partition(b"=")
        if not (space and equals and record.endswith(b"\n") and len(record) == length):
            raise ArchiveError("has a malformed pax header")
        if key.startswith(b"GNU.sparse"):
            raise ArchiveError("has a file with holes: only plain files and folders are read")
        yield key, value
        start += length


def _number(field: bytes) -> int:
    """Reads a header's number: octal digits, or GNU's base 256 after a byte of 0x80."""
    if field[0] == 0x80:
        value = int.from_bytes(field[1:], "big")
    else:
        digits = field.partition(b"\0")[0].strip(b" ")
        if not re.fullmatch(rb"[0-7]*", digits):
            raise ArchiveError("has a header with a malformed number")
        value = int(digits or b"0", 8)
    return _check_range(value)


def _decimal(digits: bytes) -> int:
    if not re.fullmatch(rb"[0-9]{1,19}", digits):
        raise ArchiveError("has a pax header with a malformed number")
    return _check_range(int(digits))


def _check_range(value: int) -> int:
    if value > _MAX_NUMBER:
        raise ArchiveError("has a header with a number beyond 63 bits")
    return value


def _content(stream: gzip.GzipFile, size: int) -> Iterator[bytes]:
    """Yields the bytes after a header, in pieces, and reads on to the next block."""
    left = size
    while left:
        chunk = _read(stream, min(left, _CHUNK_BYTES))
        if not chunk:
            raise ArchiveError(f"ends within a file{_RERUN}")
        left -= len(chunk)
        yield chunk
    padding = -size % _BLOCK
    if len(_read(stream, padding)) < padding:
        raise ArchiveError(f"ends within a file{_RERUN}")


def _read(stream: gzip.GzipFile, count: int) -> bytes:
    try:
        return stream.read(count)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise ArchiveError(f"is damaged: {error}{_RERUN}") from error
