"""Duplicate values in a table of any size, counted by DuckDB, which spills to disk."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sashiko.base.scratch import scratch_database
from sashiko.contract.table_stream import TableStream

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_MEMORY_MB = 512
_HASH = "hash"
_POSITION = "position"


@dataclass(frozen=True, kw_only=True)
class Duplicates:
    """Duplicates in a column, or in several combined. A NaN counts as null."""

    filled: int  # rows in which at least one of the columns is not null; the others are ignored
    distinct: int  # the number of distinct values in these rows
    rows: int  # the number of these rows whose value occurs more than once
    first: pa.Table  # the first such rows: the columns, under their own names
    positions: tuple[int, ...]  # of `first` in the table, from 0


def find_duplicates(stream: TableStream, columns: Sequence[str], *, examples: int) -> Duplicates:
    """Counts duplicates.

    Rows are first grouped by a hash, at 8 bytes per row; only rows with a repeated hash are read
    again and compared by value.

    Raises:
        InputError: if the disk is full.
    """
    purpose = f"look for repeated values in {', '.join(columns)}"
    with scratch_database(purpose, memory_mb=_MEMORY_MB) as connection:
        return _Search(stream, columns, connection).run(examples)


class _Search:
    """One search; the columns are c0, c1, ... in SQL."""

    def __init__(
        self, stream: TableStream, columns: Sequence[str], connection: "DuckDBPyConnection"
    ) -> None:
        self._stream = stream
        self._columns = list(columns)
        self._connection = connection
        self._names = [f"c{number}" for number in range(len(columns))]
        self._types = [stream.schema.field(name).type for name in columns]
        self._filled = 0

    def run(self, examples: int) -> Duplicates:
        values = ", ".join(self._names)
        self._create(
            f"CREATE TEMP TABLE suspects AS SELECT {_HASH}({values}) AS h, count(*) AS n "  # noqa: S608 - names of our own
            "FROM stream GROUP BY h HAVING n > 1"
        )
        filled = self._filled
        (suspected_rows,) = self._fetch_counts("SELECT coalesce(sum(n), 0) FROM suspects")
        if not suspected_rows:
            return self._result(filled, distinct=filled, rows=0, first=None)
        self._create(
            f"CREATE TEMP TABLE counted AS SELECT {values}, count(*) AS n FROM stream "  # noqa: S608 - names of our own
            f"SEMI JOIN suspects ON {_HASH}({values}) = suspects.h GROUP BY ALL"
        )
        distinct_suspects, rows = self._fetch_counts(
            "SELECT count(*), coalesce(sum(n) FILTER (n > 1), 0) FROM counted"
        )
        condition = " AND ".join(
            f"stream.{n} IS NOT DISTINCT FROM counted.{n}" for n in self._names
        )
        self._register()
        first = self._connection.sql(
            f"SELECT {_POSITION}, {values} FROM stream SEMI JOIN counted ON {condition} AND "  # noqa: S608 - names of our own
            f"counted.n > 1 ORDER BY {_POSITION} LIMIT {examples}"
        ).to_arrow_table()
        return self._result(
            filled, distinct=filled - suspected_rows + distinct_suspects, rows=rows, first=first
        )

    def _result(
        self, filled: int, *, distinct: int, rows: int, first: pa.Table | None
    ) -> Duplicates:
        schema = pa.schema(zip(self._columns, self._types, strict=True))
        table = first.drop_columns([_POSITION]).rename_columns(self._columns) if first else None
        return Duplicates(
            filled=filled,
            distinct=distinct,
            rows=rows,
            first=table.cast(schema) if table else schema.empty_table(),
            positions=tuple(first[_POSITION].to_pylist()) if first else (),
        )

    def _create(self, sql: str) -> None:
        """Creates a table from a new pass over the rows."""
        self._register()
        self._connection.execute(sql).fetchall()

    def _register(self) -> None:
        fields = [pa.field(_POSITION, pa.int64()), *map(pa.field, self._names, self._types)]
        schema = pa.schema(fields)
        reader = pa.RecordBatchReader.from_batches(schema, self._batches(schema))
        self._connection.register("stream", reader)

    def _fetch_counts(self, sql: str) -> tuple[int, ...]:
        (row,) = self._connection.execute(sql).fetchall()
        return tuple(int(value) for value in row)

    def _batches(self, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
        start = self._filled = 0
        for batch in self._stream.read(self._columns):
            columns = [_without_nan(column) for column in batch.columns]
            positions = pa.array(np.arange(start, start + batch.num_rows))
            start += batch.num_rows
            output = pa.RecordBatch.from_arrays([positions, *columns], schema=schema)
            if all(column.null_count for column in columns):
                filled = columns[0].is_valid()
                for column in columns[1:]:
                    filled = pc.or_(filled, column.is_valid())
                output = output.filter(filled)
            self._filled += output.num_rows
            yield output


def _without_nan(column: pa.Array) -> pa.Array:
    if not pa.types.is_floating(column.type):
        return column
    return pc.if_else(pc.is_nan(column), pa.scalar(None, column.type), column)
