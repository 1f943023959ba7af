"""Captured requests of this machine by the keys of their rows: to show, and to delete."""

import base64
import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sashiko.errors import InputError, disk_reason


@dataclass(frozen=True)
class CapturedRequest:
    """A line that holds a row of one of the keys."""

    path: Path
    offset: int  # of the line in its file
    length: int  # of the line, without its end
    time: str  # of the answer
    ids: tuple[str, ...]  # of its rows
    inputs: tuple[Any, ...]  # its rows: texts, or objects of columns
    answer: str  # as the server gave it; empty if there was none


def find_requests(folder: Path, keys: Collection[str]) -> Iterator[CapturedRequest]:
    """Yields the captured requests that have a row of a key, by file.

    Raises:
        InputError: if a file cannot be read.
    """
    for path in sorted(folder.rglob("*.jsonl")):
        offset = 0
        try:
            with path.open("rb") as handle:
                for line in handle:
                    request = _parse(line, path, offset)
                    if request is not None and not set(keys).isdisjoint(request.ids):
                        yield request
                    offset += len(line)
        except OSError as error:
            raise InputError(f"cannot read {path}: {disk_reason(error)}") from error


def delete_requests(folder: Path, keys: Collection[str]) -> int:
    """Overwrites the requests that have a row of a key with blanks; returns how many there were.

    A request is deleted whole, with its other rows. Its line stays as blanks, which readers pass
    over: a server may be writing to the end of the same file.

    Raises:
        InputError: if a file cannot be read or written.
    """
    count = 0
    for request in find_requests(folder, keys):
        try:
            with request.path.open("r+b") as handle:
                handle.seek(request.offset)
                handle.write(b" " * request.length)
        except OSError as error:
            raise InputError(f"cannot write {request.path}: {disk_reason(error)}") from error
        count += 1
    return count


def _parse(line: bytes, path: Path, offset: int) -> CapturedRequest | None:
    """Reads a line; None if it is no record of a request with ids."""
    try:
        record = json.loads(line)
        sides = record["captureData"]
        body = json.loads(_text(sides["endpointInput"]))
        return CapturedRequest(
            path=path,
            offset=offset,
            length=len(line.rstrip(b"\r\n")),
            time=str(record["eventMetadata"]["inferenceTime"]),
            ids=tuple(str(item) for item in body["ids"]),
            inputs=tuple(body["inputs"]),
            answer=_text(sides["endpointOutput"]) if "endpointOutput" in sides else "",
        )
    except (KeyError, TypeError, ValueError):
        return None


def _text(side: Mapping[str, Any]) -> str:
    data = str(side["data"])
    return base64.b64decode(data).decode() if side["encoding"] == "BASE64" else data
