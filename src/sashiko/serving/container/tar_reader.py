"""Reads a tar.gz that somebody else may have made: plain files and folders, in bounded memory.

Not by `tarfile`, which believes what it reads: a long name or a pax header of any size is taken
into memory and searched in a time that grows with its square, each is followed by recursion, sizes
may be below zero. Read here is what tar, GNU tar and Python write of plain files: ustar, GNU's long
names and large sizes, and pax's `path` and `size` (POSIX.1-2017, pax, "ustar Interchange Format").
It is one file, as it is imported as part of the package and, in an image, as a file by itself.
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
_MOST_ENTRIES = 10_000
_DEEPEST = 32  # parts of a path
_MOST_EXTENSIONS = 8  # in a row: a long name, a link's target, pax's own and for all that follow
_LONGEST_EXTENSION = 1 << 14  # bytes
_LONGEST_NAME = 1024  # bytes
_LONGEST_PART = 255  # bytes, on the file systems that there are
_LONGEST_REST = 1 << 20  # bytes after the end; writers fill up to 10 KiB
_LARGEST = (1 << 63) - 1
_SHOWN = 100  # letters of a name, in a message
_AGAIN = "; run the step that wrote it again"

_FILES = (b"0", b"\0", b"7")  # the last is laid out in one piece where a system knows how
_FOLDER = b"5"
_PAX = (b"x", b"X")  # the second is what Solaris wrote
_LONG_NAME = b"L"
# A link's target: links are refused. What pax says of all members at once: a date, a comment.
_FOR_ALL = b"g"
_IGNORED = (b"K", _FOR_ALL)
_DECIDES = frozenset({b"path", b"size", b"hdrcharset"})
_KINDS = {b"1": "a link", b"2": "a link", b"6": "a pipe", b"S": "a file with holes"}
_DEVICES = (b"3", b"4")


class ArchiveError(ValueError):
    """An archive is damaged, or holds what is refused; the message says what, of which member."""


@dataclass(frozen=True)
class Member:
    """A file or a folder.

    Attributes:
        path: where it lies, within the archive.
        size: in bytes; None of a folder.
    """

    path: PurePosixPath
    size: int | None


@dataclass(frozen=True)
class _Header:
    kind: bytes
    name: bytes
    size: int


def unpack(archive: Path, folder: Path) -> None:
    """Unpacks a tar.gz into a folder of its own, which is made if it is missing.

    Args:
        archive: the tar.gz.
        folder: nothing outside of it is written; files get this process' rights and this moment.

    Raises:
        ArchiveError: if it is damaged, holds anything but files and folders within `folder`, or
            more than there is room for: how small it is says nothing of what it unpacks to.
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
    """Reads some files of a tar.gz; those that it lacks are left out.

    Args:
        archive: the tar.gz.
        names: paths within it.
        at_most: bytes of a file.

    Returns:
        Path -> content.

    Raises:
        ArchiveError: if it is damaged, or a file is larger.
        OSError: if it is missing.
    """
    found: dict[str, bytes] = {}
    for member, content in read_members(archive):
        name = str(member.path)
        if member.size is not None and name in names:
            if member.size > at_most:
                raise ArchiveError(f"{shown(name)} has more than {at_most:,} bytes")
            found[name] = b"".join(content)
    return found


def read_members(archive: Path) -> Iterator[tuple[Member, Iterator[bytes]]]:
    """Yields an archive's members as they come, each with its content in pieces of 1 MiB.

    Raises:
        ArchiveError: as `unpack`, but for the room.
        OSError: if the archive is missing.
    """
    with gzip.open(archive) as stream:
        entries: dict[PurePosixPath, bool] = {}
        count = 0
        while (member := _next_member(stream)) is not None:
            count += 1
            if max(count, len(entries)) > _MOST_ENTRIES:
                raise ArchiveError(
                    f"{shown(str(member.path))} is one more than the {_MOST_ENTRIES:,} files and "
                    "folders that are read"
                )
            _enter(member, entries)
            content = _content(stream, member.size or 0)
            yield member, content
            for _ in content:  # what the caller left
                pass
        if not stream.tell():
            raise ArchiveError(f"is empty{_AGAIN}")
        _read_rest(stream)


def shown(name: str) -> str:
    """Returns what a message shows of a name: not all of it, and nothing that moves a cursor."""
    return repr(name[:_SHOWN])[1:-1]


def _enter(member: Member, entries: dict[PurePosixPath, bool]) -> None:
    """Adds a member, and the folders that it lies in, to the entries so far: path -> a folder?"""
    path, folder = member.path, member.size is None
    if len(path.parts) > _DEEPEST:
        problem = f"lies in {_DEEPEST} folders or more"
    elif not all(entries.setdefault(above, True) for above in path.parents[:-1]):
        problem = "lies in a file"
    elif path in entries and not (folder and entries[path]):
        problem = "stands in it twice"
    else:
        entries[path] = folder
        return
    raise ArchiveError(f"{shown(str(path))} {problem}")


def _next_member(stream: gzip.GzipFile) -> Member | None:
    name: bytes | None = None
    size: int | None = None
    named = False
    for _ in range(_MOST_EXTENSIONS + 1):
        header = _header(stream)
        if header is None:
            return None
        if header.kind not in (*_PAX, _LONG_NAME, *_IGNORED):
            return _member(
                header, header.name if name is None else name, header.size if size is None else size
            )
        text = _extension(stream, header.size)
        if header.kind in (*_PAX, _LONG_NAME):
            if named:  # some readers believe the first, some the last
                raise ArchiveError("names a member in two headers")
            named = True
        if header.kind == _LONG_NAME:
            name = text.partition(b"\0")[0]
        elif header.kind in _PAX:
            records = dict(_records(text))
            name = records.get(b"path", name)
            size = _decimal(records[b"size"]) if b"size" in records else size
        elif header.kind == _FOR_ALL and _DECIDES.intersection(dict(_records(text))):
            raise ArchiveError("names all members by one header")
    raise ArchiveError(f"has more than {_MOST_EXTENSIONS} headers for one member")


def _member(header: _Header, name: bytes, size: int) -> Member:
    try:
        text = name.decode()
    except UnicodeDecodeError as error:
        raise ArchiveError(f"{shown(name.decode(errors='replace'))} is not in UTF-8") from error
    path = PurePosixPath(text)
    folder = header.kind == _FOLDER or (header.kind == b"\0" and text.endswith("/"))
    if header.kind in _DEVICES:
        problem = "is a device"
    elif not folder and header.kind not in _FILES:
        problem = f"is {_KINDS.get(header.kind, 'of an unknown kind')}"
    elif path.is_absolute() or ".." in path.parts:
        problem = "leads out of the folder"
    elif (
        "\0" in text
        or len(name) > _LONGEST_NAME
        or not (folder or path.parts)
        or any(len(part.encode()) > _LONGEST_PART for part in path.parts)
    ):
        problem = "is no name of a file"
    else:
        return Member(path, None if folder else size)
    raise ArchiveError(f"{shown(text)} {problem}: only plain files and folders are read")


def _header(stream: gzip.GzipFile) -> _Header | None:
    """Reads a header; None is the end: zeros, or, as tar and `tarfile` have it, no more bytes."""
    block = _read(stream, _BLOCK)
    if not block.strip(b"\0") and len(block) in (0, _BLOCK):
        return None
    if len(block) != _BLOCK:
        raise ArchiveError(f"ends within a header{_AGAIN}")
    # The sum counts its own field as spaces.
    if _number(block[148:156]) != sum(block) - sum(block[148:156]) + 8 * ord(" "):
        raise ArchiveError(f"holds a header whose checksum is wrong{_AGAIN}")
    name = block[:100].partition(b"\0")[0]
    prefix = block[345:500].partition(b"\0")[0]
    if prefix:
        # GNU's own, `ustar  `, has times there, which some readers take for a folder.
        if block[257:263] != b"ustar\0":
            raise ArchiveError("holds a header that is no plain file's")
        name = prefix + b"/" + name
    return _Header(kind=block[156:157], name=name, size=_number(block[124:136]))


def _records(text: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yields pax's records, `<length> <key>=<value>` and a newline, all of which the length counts.

    Raises:
        ArchiveError: for another shape, and for a file with holes, of which only the rest is there.
    """
    start = 0
    while start < len(text):
        digits, space, _ = text[start : start + 8].partition(b" ")
        length = _decimal(digits)
        record = text[start : start + length]
        key, equals, value = record[len(digits) + 1 : -1].partition(b"=")
        if not (space and equals and record.endswith(b"\n") and len(record) == length):
            raise ArchiveError("holds a pax header of another shape")
        if key.startswith(b"GNU.sparse"):
            raise ArchiveError("holds a file with holes: only plain files and folders are read")
        yield key, value
        start += length


def _number(field: bytes) -> int:
    """Reads a header's number: octal digits, or, after a byte of 0x80, base 256 as GNU has it."""
    if field[0] == 0x80:
        value = int.from_bytes(field[1:], "big")
    else:
        digits = field.partition(b"\0")[0].strip(b" ")
        if not re.fullmatch(rb"[0-7]*", digits):
            raise ArchiveError("holds a header with a number of another shape")
        value = int(digits or b"0", 8)
    return _bounded(value)


def _decimal(digits: bytes) -> int:
    if not re.fullmatch(rb"[0-9]{1,19}", digits):
        raise ArchiveError("holds a pax header with a number of another shape")
    return _bounded(int(digits))


def _bounded(value: int) -> int:
    if value > _LARGEST:
        raise ArchiveError("holds a header with a number beyond 63 bits")
    return value


def _extension(stream: gzip.GzipFile, size: int) -> bytes:
    if size > _LONGEST_EXTENSION:
        raise ArchiveError(
            f"holds a header of {size:,} bytes, of which at most {_LONGEST_EXTENSION:,} are read"
        )
    return b"".join(_content(stream, size))


def _content(stream: gzip.GzipFile, size: int) -> Iterator[bytes]:
    """Yields what follows a header, in pieces, and reads on to the next block."""
    left = size
    while left:
        chunk = _read(stream, min(left, _CHUNK_BYTES))
        if not chunk:
            raise ArchiveError(f"ends within a file{_AGAIN}")
        left -= len(chunk)
        yield chunk
    padding = -size % _BLOCK
    if len(_read(stream, padding)) < padding:
        raise ArchiveError(f"ends within a file{_AGAIN}")


def _read_rest(stream: gzip.GzipFile) -> None:
    """Reads what fills the last record: only after it gzip tells whether the bytes are right."""
    rest = 0
    while chunk := _read(stream, _BLOCK):
        if chunk.strip(b"\0"):  # which some readers would read on to
            raise ArchiveError("goes on after its end")
        rest += len(chunk)
        if rest > _LONGEST_REST:
            raise ArchiveError(f"has more than {_LONGEST_REST:,} bytes after its end")


def _read(stream: gzip.GzipFile, count: int) -> bytes:
    try:
        return stream.read(count)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise ArchiveError(f"is damaged: {error}{_AGAIN}") from error
