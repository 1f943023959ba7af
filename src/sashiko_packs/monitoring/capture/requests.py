"""Captured requests of this machine, to delete by key, and those that a replay makes.

A replay answers a file of rows as the server would have, at the times in the file. So monitoring
can be tried on rows of the past, or on generated ones with a planted shift.
"""

import base64
import datetime as dt
import json
import sys
from collections.abc import Collection, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from sashiko.base.files import translate_disk_errors
from sashiko.contract.model import Contract, TimeSplit
from sashiko.data.ingest import typed_columns
from sashiko.errors import InputError
from sashiko.serving.artifact import JSON, RequestRefusedError, format_scalar, open_artifact
from sashiko.serving.container.text import columns
from sashiko.serving.local_capture import Capture, CaptureSettings, CapturingResponder


@dataclass(frozen=True)
class CapturedRequest:
    """A line that holds a row of one of the keys."""

    path: Path
    offset: int  # of the line in its file
    length: int  # of the line, without its end
    ids: tuple[str, ...]  # of its rows


def find_requests(folder: Path, keys: Collection[str]) -> Iterator[CapturedRequest]:
    """Yields the captured requests that have a row of a key, by file.

    Raises:
        InputError: if a file cannot be read.
    """
    for path in sorted(folder.rglob("*.jsonl")):
        offset = 0
        with translate_disk_errors(f"cannot read {path}"), path.open("rb") as handle:
            for line in handle:
                request = _parse(line, path, offset)
                if request is not None and not set(keys).isdisjoint(request.ids):
                    yield request
                offset += len(line)


def delete_requests(folder: Path, keys: Collection[str]) -> int:
    """Overwrites the requests that have a row of a key with blanks; returns how many there were.

    A request is deleted whole, with its other rows. Its line stays as blanks, which readers pass
    over: a server may be writing to the end of the same file.

    Raises:
        InputError: if a file cannot be read or written.
    """
    count = 0
    for request in find_requests(folder, keys):
        path = request.path
        with translate_disk_errors(f"cannot write {path}"), path.open("r+b") as handle:
            handle.seek(request.offset)
            handle.write(b" " * request.length)
        count += 1
    return count


def _parse(line: bytes, path: Path, offset: int) -> CapturedRequest | None:
    """Reads a line; None if it is no record of a request with ids."""
    try:
        record = json.loads(line)
        side = record["captureData"]["endpointInput"]
        encoded = side["encoding"] == "BASE64"
        body = json.loads(base64.b64decode(side["data"]) if encoded else str(side["data"]))
        return CapturedRequest(
            path=path,
            offset=offset,
            length=len(line.rstrip(b"\r\n")),
            ids=tuple(str(item) for item in body["ids"]),
        )
    except (KeyError, TypeError, ValueError):
        return None


_PROGRESS_ROWS = 500


def replay_file(
    archive: Path,
    *,
    threshold: float,
    contract: Contract,
    path: Path,
    capture: CaptureSettings,
    since: dt.datetime | None,
    until: dt.datetime | None,
) -> int:
    """Answers the rows of a file in the order of their times, a request each, and captures them.

    Each request has the row's primary key as its id, and the row's time as its inference time: the
    column of the contract's time split, else of its freshness. The rows from `since` up to `until`,
    itself left out, are in memory.

    Returns:
        The number of requests, refused ones among them.

    Raises:
        InputError: if the contract has no time, the file cannot be read, or no row is in the
            period.
    """
    if isinstance(contract.split, TimeSplit):
        time = contract.split.column
    elif contract.freshness is not None:
        time = contract.freshness.column
    else:
        raise InputError(
            f"contract {contract.id}: its rows have no time to be replayed at: it has neither a "
            "split by time nor a freshness"
        )
    with open_artifact(archive, threshold=threshold) as artifact:
        needed = columns(artifact.template)
        rows = _rows(path, contract, time, needed, since=since, until=until)
        at = dt.datetime.now(dt.UTC)
        refused = 0
        with closing(Capture(capture, clock=lambda: at)) as records:
            responder = CapturingResponder(artifact, records)
            for done, row in enumerate(rows.to_pylist(), start=1):
                moment: Any = row[time]
                if not isinstance(moment, dt.datetime):
                    moment = dt.datetime.combine(moment, dt.time())
                at = moment.astimezone(dt.UTC)
                values = {name: row[name] for name in needed}
                request = {"inputs": [values], "ids": [str(row[contract.key])]}
                body = json.dumps(request, default=format_scalar).encode()
                try:
                    responder.respond(body, content_type=JSON, accept=JSON)
                except RequestRefusedError:
                    refused += 1  # an endpoint answers 400, and captures the request
                if done % _PROGRESS_ROWS == 0 or done == rows.num_rows:
                    print(f"answered {done:,} of {rows.num_rows:,}", file=sys.stderr)
        if refused:
            print(f"{refused:,} requests were refused", file=sys.stderr)
    return int(rows.num_rows)


def _rows(
    path: Path,
    contract: Contract,
    time: str,
    needed: Sequence[str],
    *,
    since: dt.datetime | None,
    until: dt.datetime | None,
) -> pa.Table:
    """Reads the rows of a period by time, then by key; rows without a time are left out."""
    names = list(dict.fromkeys([contract.key, time, *needed]))
    table = pa.Table.from_batches(list(typed_columns(path, contract, names)))
    times = table[time].cast(pa.timestamp("us", tz="UTC"))
    inside = pc.is_valid(times)
    for bound, compare in ((since, pc.greater_equal), (until, pc.less)):
        if bound is not None:
            inside = pc.and_(inside, compare(times, pa.scalar(bound, times.type)))
    rows = table.filter(pc.fill_null(inside, False))
    if not rows.num_rows:
        ends = pc.min_max(times).as_py()
        raise InputError(
            f"{path}: no row has a `{time}` in the period; its rows are of {ends['min']} to "
            f"{ends['max']}: change --since and --until"
        )
    return rows.sort_by([(time, "ascending"), (contract.key, "ascending")])
