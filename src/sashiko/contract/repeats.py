"""Values that occur more than once in a table of any size, counted by DuckDB on disk if need be."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sashiko.contract.table_stream import TableStream
from sashiko.core.scratch import scratch_database

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_MEMORY_MB = 512
_HASH = "hash"
_POSITION = "position"


@dataclass(frozen=True, kw_only=True)
class Repeats:
    """What repeats in a column, or in several taken together. A NaN is a null.

    Attributes:
        filled: rows in which not every one of the columns is null; the others are passed over.
        distinct: how many different values these rows hold.
        rows: how many of these rows hold a value that another one holds too.
        first: the first such rows: the columns, under their own names.
        positions: where `first` lie in the table, from 0.
    """

    filled: int
    distinct: int
    rows: int
    first: pa.Table
    positions: tuple[int, ...]


def find_repeats(stream: TableStream, columns: Sequence[str], *, examples: int) -> Repeats:
    """Counts what repeats.

    Rows are grouped by a hash first, of which 8 bytes a row are held; only those whose hash is
    not alone are read again and compared by value.

    Args:
        stream: the table.
        columns: which of its columns make the value.
        examples: how many rows to show.

    Raises:
        InputError: if there is no disk left to group on.
    """
    purpose = f"look for repeated values in {', '.join(columns)}"
    with scratch_database(purpose, memory_mb=_MEMORY_MB) as connection:
        return _Search(stream, columns, connection).run(examples)


class _Search:
    """One search; the columns are called c0, c1, ... in SQL."""

    def __init__(
        self, stream: TableStream, columns: Sequence[str], connection: "DuckDBPyConnection"
    ) -> None:
        self._stream = stream
        self._columns = list(columns)
        self._connection = connection
        self._names = [f"c{number}" for number in range(len(columns))]
        self._kinds = [stream.schema.field(name).type for name in columns]
        self._filled = 0

    def run(self, examples: int) -> Repeats:
        values = ", ".join(self._names)
        self._create(
            f"CREATE TEMP TABLE suspects AS SELECT {_HASH}({values}) AS h, count(*) AS n "  # noqa: S608 - names of our own
            "FROM stream GROUP BY h HAVING n > 1"
        )
        filled = self._filled
        (suspected,) = self._one("SELECT coalesce(sum(n), 0) FROM suspects")
        if not suspected:
            return self._found(filled, distinct=filled, rows=0, first=None)
        self._create(
            f"CREATE TEMP TABLE counted AS SELECT {values}, count(*) AS n FROM stream "  # noqa: S608 - names of our own
            f"SEMI JOIN suspects ON {_HASH}({values}) = suspects.h GROUP BY ALL"
        )
        compared, rows = self._one(
            "SELECT count(*), coalesce(sum(n) FILTER (n > 1), 0) FROM counted"
        )
        same = " AND ".join(f"stream.{n} IS NOT DISTINCT FROM counted.{n}" for n in self._names)
        self._register()
        first = self._connection.sql(
            f"SELECT {_POSITION}, {values} FROM stream SEMI JOIN counted ON {same} AND "  # noqa: S608 - names of our own
            f"counted.n > 1 ORDER BY {_POSITION} LIMIT {examples}"
        ).to_arrow_table()
        return self._found(filled, distinct=filled - suspected + compared, rows=rows, first=first)

    def _found(self, filled: int, *, distinct: int, rows: int, first: pa.Table | None) -> Repeats:
        schema = pa.schema(zip(self._columns, self._kinds, strict=True))
        table = first.drop_columns([_POSITION]).rename_columns(self._columns) if first else None
        return Repeats(
            filled=filled,
            distinct=distinct,
            rows=rows,
            first=table.cast(schema) if table else schema.empty_table(),
            positions=tuple(first[_POSITION].to_pylist()) if first else (),
        )

    def _create(self, sql: str) -> None:
        """Makes a table of a new reading of the rows."""
        self._register()
        self._connection.execute(sql).fetchall()

    def _register(self) -> None:
        fields = [pa.field(_POSITION, pa.int64()), *map(pa.field, self._names, self._kinds)]
        schema = pa.schema(fields)
        reader = pa.RecordBatchReader.from_batches(schema, self._batches(schema))
        self._connection.register("stream", reader)

    def _one(self, sql: str) -> tuple[int, ...]:
        (row,) = self._connection.execute(sql).fetchall()
        return tuple(int(value) for value in row)

    def _batches(self, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
        start = self._filled = 0
        for batch in self._stream.read(self._columns):
            cells = [_without_nan(column) for column in batch.columns]
            positions = pa.array(np.arange(start, start + batch.num_rows))
            start += batch.num_rows
            kept = pa.RecordBatch.from_arrays([positions, *cells], schema=schema)
            if all(column.null_count for column in cells):
                filled = cells[0].is_valid()
                for column in cells[1:]:
                    filled = pc.or_(filled, column.is_valid())
                kept = kept.filter(filled)
            self._filled += kept.num_rows
            yield kept


def _without_nan(column: pa.Array) -> pa.Array:
    if not pa.types.is_floating(column.type):
        return column
    return pc.if_else(pc.is_nan(column), pa.scalar(None, column.type), column)
