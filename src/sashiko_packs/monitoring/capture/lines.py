"""Finds captured files, streams their lines in bounded memory, and counts what they hold."""

import datetime as dt
import re
from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sashiko.errors import InputError, disk_reason
from sashiko_packs.monitoring.capture.record import CaptureProblem, ProblemKind, VersionRows
from sashiko_packs.monitoring.window import Window

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
        name, version, hour = path.relative_to(folder).as_posix(), None, None
        if match := _LAYOUT.fullmatch(name):
            version = int(match["version"]) if match["version"] else None
            with suppress(ValueError):
                hour = dt.datetime.strptime(match["hour"] + "+0000", "%Y/%m/%d/%H%z")
        if hour is None or window.start - _MARGIN <= hour < last:
            files.append(CaptureFile(path, name, version=version, hour=hour))
    return files


def stream_blocks(files: Sequence[CaptureFile], places: Places) -> Iterator[pa.Table]:
    """Yields tables of `number`, `line`, `version` and `hour`; blank lines are left out.

    `line` is null where the line is not UTF-8 or longer than `LONGEST_LINE`.

    Raises:
        InputError: if a file cannot be read.
    """
    block: list[tuple[int, str | None, CaptureFile]] = []
    number = size = 0
    for file in files:
        places.add(file.name, start=number)
        try:
            for line in _lines(file.path):
                if line != "":
                    block.append((number, line, file))
                    size += len(line or "")
                number += 1
                if size >= _BLOCK_BYTES or len(block) >= _BLOCK_LINES:
                    yield _table(block)
                    block, size = [], 0
        except OSError as error:
            raise InputError(f"cannot read {file.path}: {disk_reason(error)}") from error
    if block:
        yield _table(block)


def _table(block: Sequence[tuple[int, str | None, CaptureFile]]) -> pa.Table:
    columns = {
        "number": pa.array([number for number, _, _ in block], pa.int64()),
        "line": pa.array([line for _, line, _ in block], pa.string()),
        "version": pa.array([file.version for _, _, file in block], pa.int64()),
        "hour": pa.array([file.hour for _, _, file in block], pa.timestamp("us")),
    }
    return pa.table(columns)


def _lines(path: Path) -> Iterator[str | None]:
    """Yields the lines of a file: None for one that is too long or not UTF-8, "" of a blank one."""
    with path.open("rb") as handle:
        while line := handle.readline(LONGEST_LINE):
            text = None
            if len(line) == LONGEST_LINE and not line.endswith(b"\n"):
                while (rest := handle.readline(LONGEST_LINE)) and not rest.endswith(b"\n"):
                    pass
            else:
                with suppress(UnicodeDecodeError):
                    text = line.strip().decode()
            yield text


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
        self._groups: list[dict[str, Any]] = []  # a version's rows of an hour, as far as read
        self._last_number = -1

    def add(self, rows: pa.Table) -> None:
        """Counts rows, at least one, in the order of their lines: a request's are adjacent."""
        numbers = rows["number"].to_numpy()
        is_first = np.diff(numbers, prepend=self._last_number) != 0
        self._last_number = numbers[-1]
        columns = {
            "version": rows["version"],
            "hour": pc.floor_temporal(rows["time"], unit="hour"),
            "time": rows["time"],
            "request": pa.array(is_first.astype(np.int64)),
        }
        groups = pa.table(columns).group_by(["version", "hour"])
        measures = [("request", "count"), ("request", "sum"), ("time", "min"), ("time", "max")]
        self._groups += groups.aggregate(measures).to_pylist()

    def shared_hours(self) -> int:
        """Returns how many hours more than one version answered in."""
        pairs = {(group["hour"], group["version"]) for group in self._groups}
        return sum(count > 1 for count in Counter(hour for hour, _ in pairs).values())

    def versions(self) -> tuple[VersionRows, ...]:
        """Returns what each version answered, by version."""
        by_version: dict[int | None, list[dict[str, Any]]] = defaultdict(list)
        for group in self._groups:
            by_version[group["version"]].append(group)
        return tuple(
            VersionRows(
                version=version,
                requests=sum(group["request_sum"] for group in groups),
                rows=sum(group["request_count"] for group in groups),
                first=min(group["time_min"] for group in groups),
                last=max(group["time_max"] for group in groups),
            )
            for version, groups in sorted(by_version.items(), key=lambda item: item[0] or 0)
        )
