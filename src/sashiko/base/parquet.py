"""Parquet files with reproducible bytes: equal rows give equal files."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from sashiko.base.files import atomic_writer
from sashiko.errors import InputError

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
