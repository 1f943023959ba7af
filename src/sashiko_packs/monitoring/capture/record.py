"""The records of a read, and its file of rows, read in pieces: all of it, or by whole requests."""

import datetime as dt
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import ClassVar, Final, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sashiko.base.parquet import open_parquet
from sashiko.base.yaml_models import Frozen
from sashiko.errors import InputError
from sashiko.evaluation.metrics.arrays import Ints
from sashiko_packs.monitoring.window import WindowRecord

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


class CaptureSummary(WindowRecord):
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


def row_schema(columns: Sequence[str]) -> pa.Schema:
    """Returns the schema of the rows.

    `input` has the columns of a row as their captured text, and is null where the request gave a
    text instead, which is `text`. `key` is null where the request had no ids. `cluster` rises by
    one where it first occurs, so that it rises from row to row where no two rows share one.
    """
    return pa.schema(
        [
            ("event_id", pa.string()),
            ("position", pa.int32()),  # of the row in its request, from 0
            ("time", pa.timestamp("us", tz="UTC")),
            ("version", pa.int64()),
            ("key", pa.string()),
            ("score", pa.float64()),
            ("decision", pa.string()),
            ("text", pa.string()),
            ("input", pa.struct([(name, pa.string()) for name in columns])),
            ("cluster", pa.int64()),  # a number for rows that may be alike, from 0
            ("dominates", pa.bool_()),  # whether its cluster has too many of the window's rows
        ]
    )


def decoded_schema(columns: Sequence[str]) -> pa.Schema:
    """Returns the schema of rows before their clusters are known."""
    return pa.schema([field for field in row_schema(columns) if field.name not in ASSIGNED])


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
