"""Reads a file of captured rows in pieces: all of it, or by whole requests."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sashiko.base.parquet import open_parquet
from sashiko.errors import InputError
from sashiko.evaluation.metrics.arrays import Ints

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
