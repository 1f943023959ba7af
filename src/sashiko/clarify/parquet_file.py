"""Parquet files of a data set."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa

from sashiko.clarify.tables import Table, as_text
from sashiko.errors import InputError
from sashiko.parquet import open_parquet, stream_columns


def open_parquet_file(file: Path, *, headers: Sequence[str] | None) -> Table:
    """Opens a Parquet file, whose columns have names of their own.

    Raises:
        InputError: if it is damaged, or `headers` are others than its names.
    """
    source = open_parquet(file)
    names = tuple(source.schema_arrow.names)
    if headers is not None and tuple(headers) != names:
        raise InputError(f"{file} has columns {', '.join(names)}, but `headers` are others")

    def read(columns: Sequence[str]) -> Iterator[pa.Table]:
        for rows in stream_columns(file, columns):
            yield as_text(rows, file)

    return Table(file, names, read)
