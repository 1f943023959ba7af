"""Parquet files with reproducible bytes: equal rows give equal files."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from sashiko.base.files import atomic_writer
from sashiko.errors import InputError

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

__all__ = ["open_parquet", "write_batches"]


ROW_GROUP_ROWS = 131_072
_STREAM_ROWS = 16_384


def write_batches(path: Path, batches: Iterable[pa.RecordBatch], *, schema: pa.Schema) -> int:
    """Streams record batches to a Parquet file atomically.

    The bytes depend only on the rows, not on their batches; memory holds one row group of
    `ROW_GROUP_ROWS`. The batches are in the order of the rows; the schema's metadata is not
    written.

    Returns:
        The number of rows written.

    Raises:
        InputError: if the file cannot be written, for example on a full disk.
    """
    plain = schema.remove_metadata()
    rows = 0
    with (
        atomic_writer(path) as handle,
        pq.ParquetWriter(handle, plain, compression="zstd", version="2.6") as writer,
    ):
        for group in regroup(batches, plain, rows=ROW_GROUP_ROWS):
            writer.write_table(group, row_group_size=ROW_GROUP_ROWS)
            rows += group.num_rows
    return rows


def write_table(path: Path, table: pa.Table) -> None:
    """Writes a table as `write_batches` does."""
    write_batches(path, table.to_batches(), schema=table.schema)


def open_parquet(path: Path) -> pq.ParquetFile:
    """Opens a Parquet file.

    Raises:
        InputError: if it is missing, empty, truncated, or not Parquet.
    """
    try:
        # With it, a stream holds each row group that it has read: apache/arrow#39808.
        return pq.ParquetFile(path, pre_buffer=False)
    except FileNotFoundError as error:
        raise InputError(f"{path} does not exist") from error
    except (OSError, pa.ArrowException) as error:
        raise InputError(
            f"{path} is not a whole Parquet file: it is empty, cut off or of another format; "
            "write or copy it again"
        ) from error


def read_columns(path: Path, columns: Sequence[str]) -> pa.Table:
    """Reads columns of a Parquet file.

    Raises:
        InputError: if the file is missing, damaged, empty, or lacks a column.
    """
    file = _with_columns(path, columns)
    try:
        return file.read(columns=list(columns))
    except (OSError, pa.ArrowException) as error:
        raise InputError(f"{path} is damaged: {error}; make it again") from error


def stream_columns(path: Path, columns: Sequence[str]) -> Iterator[pa.Table]:
    """Streams columns of a Parquet file in the order of `columns`.

    Raises:
        InputError: as `read_columns` does.
    """
    batches = _with_columns(path, columns).iter_batches(_STREAM_ROWS, columns=list(columns))
    try:
        for batch in batches:
            yield pa.Table.from_batches([batch]).select(list(columns))
    except (OSError, pa.ArrowException) as error:
        raise InputError(f"{path} is damaged: {error}; make it again") from error


def _with_columns(path: Path, columns: Sequence[str]) -> pq.ParquetFile:
    file = open_parquet(path)
    missing = [column for column in columns if column not in file.schema_arrow.names]
    if missing:
        raise InputError(f"{path} lacks column `{'`, `'.join(missing)}`; make it again")
    if not file.metadata.num_rows:
        raise InputError(f"{path} has no rows")
    return file


def regroup(
    batches: Iterable[pa.RecordBatch], schema: pa.Schema, *, rows: int
) -> Iterator[pa.Table]:
    """Regroups a stream of batches into tables of `rows` rows and a shorter last one.

    Memory holds one table; the tables do not depend on the batches' sizes.
    """
    pending: list[pa.RecordBatch] = []
    count = 0
    for batch in batches:
        pending.append(batch.replace_schema_metadata(None))
        count += batch.num_rows
        while count >= rows:
            table = pa.Table.from_batches(pending, schema=schema)
            yield table.slice(0, rows)
            pending = table.slice(rows).to_batches()
            count -= rows
    if count:
        yield pa.Table.from_batches(pending, schema=schema)


_DUPLICATES = (
    "{}: key column `{}` has {} values more than once, such as {!r}; every row needs its own key"
)


def unique_keys(table: pa.Table, column: str, *, source: Path) -> pa.ChunkedArray:
    """Returns a key column as strings.

    Raises:
        InputError: if a key is null or occurs twice.
    """
    keys = table[column].cast(pa.string())
    if keys.null_count:
        raise InputError(f"{source}: key column `{column}` has {keys.null_count} nulls")
    counts = pc.value_counts(keys.combine_chunks())
    repeated = counts.filter(pc.greater(counts.field("counts"), 1))
    if len(repeated):
        example = repeated.field("values")[0].as_py()
        raise InputError(_DUPLICATES.format(source, column, len(repeated), example))
    return keys


def check_keys(connection: "DuckDBPyConnection", table: str, *, column: str, source: Path) -> None:
    """Checks the keys of a table in a scratch database as `unique_keys` does.

    The table has string keys in the column `key`; `column` is the name of the key's column in
    `source`.

    Raises:
        InputError: if a key is null or occurs twice.
    """
    counts = f"SELECT key, count(*) AS n FROM {table} GROUP BY key"  # noqa: S608 - the code's own name
    ((nulls, duplicates, example),) = connection.execute(
        "SELECT sum(n) FILTER (key IS NULL), count(key) FILTER (n > 1), "  # noqa: S608 - likewise
        f"min(key) FILTER (n > 1) FROM ({counts})"
    ).fetchall()
    if nulls:
        raise InputError(f"{source}: key column `{column}` has {nulls} nulls")
    if duplicates:
        raise InputError(_DUPLICATES.format(source, column, duplicates, example))


def rows_of(keys: pa.ChunkedArray, source: Path, columns: Sequence[str], *, key: str) -> pa.Table:
    """Reads the rows of some keys, strings, from a Parquet file; memory holds these rows alone.

    `columns` have the key's column `key` too.

    Raises:
        InputError: if the file is missing, damaged, empty, or lacks a column.
    """
    wanted = keys.combine_chunks()
    return pa.concat_tables(
        rows.filter(pc.is_in(rows[key].cast(pa.string()), value_set=wanted))
        for rows in stream_columns(source, columns)
    )


def positions(
    keys: pa.ChunkedArray, among: pa.ChunkedArray, *, source: Path, among_source: Path
) -> pa.ChunkedArray:
    """Returns the position of each key in `among`.

    Raises:
        InputError: if keys are missing, with their number and an example.
    """
    indices = pc.index_in(keys, value_set=among.combine_chunks())
    if indices.null_count:
        missing = keys.filter(pc.is_null(indices))
        count, example = indices.null_count, missing[0].as_py()
        raise missing_keys_error(
            count, len(keys), example, source=source, among_source=among_source
        )
    return indices


def missing_keys_error(
    count: int, keys: int, example: str, *, source: Path, among_source: Path
) -> InputError:
    """Returns the error for keys of `source` that are not in `among_source`."""
    return InputError(
        f"{source}: {count} of {keys} keys, such as {example!r}, are not in {among_source}; both "
        "must be of the same data"
    )


def facet_values(table: pa.Table, column: str, *, source: Path) -> pa.ChunkedArray:
    """Returns a facet as strings.

    Raises:
        InputError: if it has nulls or empty strings, which belong to no group.
    """
    values = table[column].cast(pa.string())
    missing = pc.sum(pc.fill_null(pc.equal(values, ""), True)).as_py()
    if missing:
        raise empty_facet_error(column, missing, len(values), source=source)
    return values


def empty_facet_error(column: str, missing: int, rows: int, *, source: Path) -> InputError:
    """Returns the error for a facet without a value in some rows."""
    return InputError(
        f"{source}: facet `{column}` has {missing} empty values of {rows}, which belong to no "
        "group; remove these rows or give them their own value, such as `unknown`"
    )


_READ_ROWS = 65_536


@dataclass(frozen=True, kw_only=True)
class TableStream:
    """A table's rows in a stable order."""

    schema: pa.Schema  # its columns
    # Yields the rows of the named columns, in that order, in batches of any size; each call starts
    # from the first row.
    read: Callable[[Sequence[str]], Iterator[pa.RecordBatch]]

    def pieces(self, rows: int) -> Iterator[pa.Table]:
        """Yields all columns, `rows` rows at a time; a table without rows is one empty piece."""
        names = self.schema.names
        empty = True
        for piece in regroup(self.read(names), self.schema, rows=rows):
            empty = False
            yield piece
        if empty:
            yield self.schema.empty_table()


def parquet_stream(path: Path) -> TableStream:
    """Streams a Parquet file.

    Raises:
        InputError: if it is missing or not a valid Parquet file.
    """
    with open_parquet(path) as parquet:
        schema = parquet.schema_arrow.remove_metadata()

    def read(names: Sequence[str]) -> Iterator[pa.RecordBatch]:
        with open_parquet(path) as parquet:
            for batch in parquet.iter_batches(batch_size=_READ_ROWS, columns=list(names)):
                # `iter_batches` returns columns in the file's order.
                yield batch.select(list(names))

    return TableStream(schema=schema, read=read)
