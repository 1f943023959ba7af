"""Finds captured files, streams their lines in bounded memory, and counts what they hold."""

import datetime as dt
import re
from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sashiko.errors import InputError, disk_reason
from sashiko_packs.monitoring.capture.record import CaptureProblem, ProblemKind, VersionRows, Window

# A body of 6 MiB in a JSON text takes at most six times as many bytes (`\u0000`), and BASE64 less.
LONGEST_LINE: Final = 64 * 1024**2
_BLOCK_BYTES: Final = 4 * 1024**2
_BLOCK_LINES: Final = 50_000
# SageMaker may put a record into the folder of a neighbouring hour.
_MARGIN: Final = dt.timedelta(hours=2)
_LAYOUT: Final = re.compile(
    r"(?:(?:.*/)?version=(?P<version>\d{1,18})/|.*/)?[^/]+/[^/]+/"
    r"(?P<hour>\d{4}/\d{2}/\d{2}/\d{2})/[^/]+\.jsonl"
)


@dataclass(frozen=True)
class CaptureFile:
    """A captured file, by what its path says."""

    path: Path
    name: str  # the path below the folder that is read
    version: int | None
    hour: dt.datetime | None  # the start of its folder's hour


@dataclass
class Places:
    """Where each line was, by its number over all files, from 0."""

    starts: list[int] = field(default_factory=list)  # number of each file's first line
    names: list[str] = field(default_factory=list)

    def add(self, name: str, *, start: int) -> None:
        """Notes that a file begins."""
        self.starts.append(start)
        self.names.append(name)

    def of(self, number: int) -> str:
        """Returns a line's place, `<file>:<line>`."""
        file = bisect_right(self.starts, number) - 1
        return f"{self.names[file]}:{number - self.starts[file] + 1}"


def find_files(folder: Path, window: Window, *, now: dt.datetime) -> list[CaptureFile]:
    """Returns the captured files whose hours may hold records of a window, sorted by path.

    Files of hours that begin at `now` or later are left out: there are some where a window of the
    past is read again, and their lines are no loss. A `.jsonl` file outside the layout of captures
    is read, whatever its hour.
    """
    files, last = [], min(window.end + _MARGIN, now)
    for path in sorted(folder.rglob("*.jsonl"), key=lambda path: path.relative_to(folder).parts):
        name = path.relative_to(folder).as_posix()
        file = _capture_file(path, name)
        if file.hour is None or window.start - _MARGIN <= file.hour < last:
            files.append(file)
    return files


def stream_blocks(files: Sequence[CaptureFile], places: Places) -> Iterator[pa.Table]:
    """Yields tables of `number`, `line`, `version` and `hour`; blank lines are left out.

    `line` is null where the line is not UTF-8 or longer than `LONGEST_LINE`.

    Raises:
        InputError: if a file cannot be read.
    """
    block = _Block()
    number = 0
    for file in files:
        places.add(file.name, start=number)
        try:
            for line in _lines(file.path):
                if line != b"":
                    block.add(number, line, file)
                number += 1
                if block.bytes >= _BLOCK_BYTES or len(block.numbers) >= _BLOCK_LINES:
                    yield block.table()
                    block = _Block()
        except OSError as error:
            raise InputError(f"cannot read {file.path}: {disk_reason(error)}") from error
    if block.numbers:
        yield block.table()


class _Block:
    """Some lines."""

    def __init__(self) -> None:
        self.numbers: list[int] = []
        self.bytes = 0
        self._lines: list[str | None] = []
        self._versions: list[int | None] = []
        self._hours: list[dt.datetime | None] = []

    def add(self, number: int, line: bytes | None, file: CaptureFile) -> None:
        self.numbers.append(number)
        self._lines.append(_decode(line))
        self._versions.append(file.version)
        self._hours.append(file.hour)
        self.bytes += len(line or b"")

    def table(self) -> pa.Table:
        columns = {
            "number": pa.array(self.numbers, pa.int64()),
            "line": pa.array(self._lines, pa.string()),
            "version": pa.array(self._versions, pa.int64()),
            "hour": pa.array(self._hours, pa.timestamp("us")),
        }
        return pa.table(columns)


def _lines(path: Path) -> Iterator[bytes | None]:
    """Yields the lines of a file: None for one that is too long, nothing of a blank one."""
    with path.open("rb") as handle:
        while line := handle.readline(LONGEST_LINE):
            if len(line) == LONGEST_LINE and not line.endswith(b"\n"):
                while (rest := handle.readline(LONGEST_LINE)) and not rest.endswith(b"\n"):
                    pass
                yield None
            else:
                yield line.strip()


def _decode(line: bytes | None) -> str | None:
    if line is None:
        return None
    try:
        return line.decode()
    except UnicodeDecodeError:
        return None


def _capture_file(path: Path, name: str) -> CaptureFile:
    match = _LAYOUT.fullmatch(name)
    if match is None:
        return CaptureFile(path, name, version=None, hour=None)
    version, hour = match["version"], None
    with suppress(ValueError):
        hour = dt.datetime.strptime(match["hour"] + "+0000", "%Y/%m/%d/%H%z")
    return CaptureFile(path, name, version=int(version) if version else None, hour=hour)


class Problems:
    """Counts problems, and keeps the first line of each."""

    def __init__(self, places: Places) -> None:
        self._places = places
        self._counts: Counter[ProblemKind] = Counter()
        self._first: dict[ProblemKind, int] = {}

    def add(self, kind: ProblemKind, count: int, first: int | None = None) -> None:
        """Adds to a count; `first` is the number of the first line, if there is one."""
        self._counts[kind] += count
        if first is not None:
            self._first[kind] = min(first, self._first.get(kind, first))

    def records(self) -> tuple[CaptureProblem, ...]:
        """Returns the problems that occurred, by kind."""
        return tuple(
            CaptureProblem(
                kind=kind,
                count=count,
                first=self._places.of(self._first[kind]) if kind in self._first else "",
            )
            for kind, count in sorted(self._counts.items())
            if count
        )


class Totals:
    """What each version answered, by the rows that remain."""

    def __init__(self) -> None:
        self._rows: Counter[int | None] = Counter()
        self._requests: Counter[int | None] = Counter()
        self._times: dict[int | None, tuple[dt.datetime, dt.datetime]] = {}
        self._hours: dict[dt.datetime, set[int | None]] = defaultdict(set)
        self._last_number = -1

    def add(self, rows: pa.Table) -> None:
        """Counts rows, at least one, in the order of their lines: a request's are adjacent."""
        numbers = rows["number"].to_numpy()
        is_first = np.diff(numbers, prepend=self._last_number) != 0
        self._last_number = numbers[-1]
        hours = pc.floor_temporal(rows["time"], unit="hour")
        table = pa.table(
            {
                "version": rows["version"],
                "hour": hours,
                "time": rows["time"],
                "request": pa.array(is_first.astype(np.int64)),
            }
        ).group_by(["version", "hour"])
        aggregated = table.aggregate(
            [("request", "count"), ("request", "sum"), ("time", "min"), ("time", "max")]
        )
        for group in aggregated.to_pylist():
            version = group["version"]
            self._rows[version] += group["request_count"]
            self._requests[version] += group["request_sum"]
            first, last = self._times.get(version, (group["time_min"], group["time_max"]))
            self._times[version] = min(first, group["time_min"]), max(last, group["time_max"])
            self._hours[group["hour"]].add(version)

    def shared_hours(self) -> int:
        """Returns how many hours more than one version answered in."""
        return sum(len(versions) > 1 for versions in self._hours.values())

    def versions(self) -> tuple[VersionRows, ...]:
        """Returns what each version answered, by version."""
        return tuple(
            VersionRows(
                version=version,
                requests=self._requests[version],
                rows=self._rows[version],
                first=self._times[version][0],
                last=self._times[version][1],
            )
            for version in sorted(self._rows, key=lambda version: version or 0)
        )
