"""Captured files: their lines in bounded memory, the records of a read, and its file of rows."""

import datetime as dt
import re
from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Final, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sashiko.base.files import translate_disk_errors
from sashiko.base.parquet import open_parquet
from sashiko.base.yaml_models import Frozen, StepRecord
from sashiko.errors import InputError
from sashiko.evaluation.metrics.arrays import Ints
from sashiko_packs.monitoring.window import Window

ASSIGNED = ("cluster", "dominates")  # columns of the rows that all rows of the window decide
# Each line that was read has one of these; `answered` is none of them.
LineProblem = Literal[
    "cut-line",  # not JSON in UTF-8
    "not-a-record",  # JSON without event id, time or side
    "future",  # later than the time of the read
    "outside-window",  # before the window or after it
    "without-output",  # refused or failed; the model gave no answer
    "unreadable",  # a side is not of the handler's form, or in an unknown encoding
    "mismatched",  # its answers are not as many as its inputs, or have other ids
    "replay",  # its event id was read before
]
# Of lines that are answered, or of their rows.
RowProblem = Literal[
    "repeated-key",  # rows: an earlier row has this key and version
    "without-key",  # rows whose request has no ids
    "unknown-column",  # rows with a column that the caller did not ask for
    "missing-column",  # rows without a column that the caller asked for
    # Rows of a cluster that has so many that the others tell more without it (`clusters`).
    "dominant-client",
    "dominant-text",
    "dominant-request",
]
SourceProblem = Literal[
    "base64",  # lines with a side in BASE64, which is decoded
    "wrong-hour",  # lines in the folder of another hour
    "without-version",  # lines below no `version=<n>`
    "several-versions",  # hours in which more than one version answered
    "empty-window",  # 1 if no row is left
]
ProblemKind = LineProblem | RowProblem | SourceProblem


class CaptureProblem(Frozen):
    """One kind of problem. It holds nothing of a request."""

    kind: ProblemKind
    count: int  # lines, rows or hours, as the kind says
    first: str = ""  # the first place, `<file>:<line>`; empty if there is no single one


class VersionRows(Frozen):
    """What one version answered."""

    version: int | None  # None below no `version=<n>`
    requests: int
    rows: int
    first: dt.datetime  # the first inference time
    last: dt.datetime  # the last one


class CaptureSummary(StepRecord):
    """What a read found; equal files give equal summaries."""

    FILE: ClassVar[str] = "capture.json"

    start: dt.datetime  # of the window
    end: dt.datetime  # of the window
    files: int  # that were read
    lines: int  # of those files
    requests: int  # answered lines of the window, without replays
    rows: int  # of those requests, without repeated keys
    versions: tuple[VersionRows, ...]  # by version
    problems: tuple[CaptureProblem, ...]  # those that occur, by kind

    def count(self, kind: ProblemKind) -> int:
        """Returns how often a problem occurs."""
        return sum(problem.count for problem in self.problems if problem.kind == kind)


def row_schema(columns: Sequence[str], *, has_classes: bool = False) -> pa.Schema:
    """Returns the schema of the rows; `has_classes` adds the scores of more than two classes.

    `input` has the columns of a row as their captured text, and is null where the request gave a
    text instead, which is `text`. `key` is null where the request had no ids. `cluster` rises by
    one where it first occurs, so that it rises from row to row where no two rows share one. `score`
    and `scores` are null where a version of other classes answered. Of a number, `score` is its
    predicted value and `decision` the outcome at the bound.
    """
    # Of the classes in the reference's order.
    scores = [("scores", pa.list_(pa.float64()))] if has_classes else []
    return pa.schema(
        [
            ("event_id", pa.string()),
            ("position", pa.int32()),  # of the row in its request, from 0
            ("time", pa.timestamp("us", tz="UTC")),
            ("version", pa.int64()),
            ("key", pa.string()),
            ("score", pa.float64()),  # the probability of a favourable class
            *scores,
            ("decision", pa.string()),
            ("text", pa.string()),
            ("input", pa.struct([(name, pa.string()) for name in columns])),
            ("cluster", pa.int64()),  # a number for rows that may be alike, from 0
            ("dominates", pa.bool_()),  # whether its cluster has too many of the window's rows
        ]
    )


def decoded_schema(schema: pa.Schema) -> pa.Schema:
    """Returns a schema of rows as it is before their clusters are known."""
    return pa.schema([field for field in schema if field.name not in ASSIGNED])


ROWS_FILE: Final = "rows.parquet"
OTHERS_FILE: Final = "other_versions.parquet"
LATE_FILE: Final = "late.parquet"
_STREAM_ROWS: Final = 16_384


def stream_rows(path: Path, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
    """Yields a file of `read_captures` in tables of at most 16,384 rows; of no rows, none.

    `columns` are those that are read, in the file's order; None for all. `input.age` is one field.

    Raises:
        InputError: if the file is missing or damaged.
    """
    with open_parquet(path) as file:
        try:
            for batch in file.iter_batches(_STREAM_ROWS, columns=columns and list(columns)):
                yield pa.Table.from_batches([batch])
        except (OSError, pa.ArrowException) as error:
            raise InputError(f"{path} is damaged: {error}; read the captures again") from error


def captured_columns(path: Path) -> tuple[str, ...]:
    """Returns the names of the columns that the rows of a file of `read_captures` may have.

    Raises:
        InputError: if the file is missing or damaged, or is another file.
    """
    with open_parquet(path) as file:
        schema = file.schema_arrow
    if "input" not in schema.names:
        raise InputError(f"{path} lacks column `input`; read the captures again")
    return tuple(field.name for field in schema.field("input").type)


def stream_requests(path: Path, columns: Sequence[str]) -> Iterator[tuple[pa.Table, Ints]]:
    """Yields tables of whole requests, with the number of each row's request in its table, from 0.

    `read_captures` leaves one line of an event id, so the rows of a request are adjacent.

    Raises:
        InputError: as `stream_rows`.
    """
    pending: pa.Table | None = None
    for piece in stream_rows(path, ["event_id", *columns]):
        table = piece if pending is None else pa.concat_tables([pending, piece])
        numbers = _request_numbers(table)
        end = int(np.searchsorted(numbers, numbers[-1]))
        if end:
            yield table.slice(0, end), numbers[:end]
        pending = table.slice(end)
    if pending is not None:
        yield pending, _request_numbers(pending)


def _request_numbers(table: pa.Table) -> Ints:
    events = table["event_id"].combine_chunks()
    changes = pc.not_equal(events[1:], events[:-1]).to_numpy(zero_copy_only=False)
    numbers: Ints = np.concatenate([[0], np.cumsum(changes)]).astype(np.int64)
    return numbers


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
        with translate_disk_errors(f"cannot read {file.path}"):
            for line in _lines(file.path):
                if line != "":
                    block.append((number, line, file))
                    size += len(line or "")
                number += 1
                if size >= _BLOCK_BYTES or len(block) >= _BLOCK_LINES:
                    yield _table(block)
                    block, size = [], 0
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
