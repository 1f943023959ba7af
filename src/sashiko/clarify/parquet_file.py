"""Parquet files of a data set."""

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa

from sashiko.clarify.tables import Table, as_text
from sashiko.errors import InputError
from sashiko.parquet import open_parquet


def open_parquet_file(file: Path, *, headers: Sequence[str] | None) -> Table:
    """Opens a Parquet file, whose columns have names of their own.

    Raises:
        InputError: if it is damaged, or `headers` are others than its names.
    """
    source = open_parquet(file)
    names = tuple(source.schema_arrow.names)
    if headers is not None and tuple(headers) != names:
        raise InputError(f"{file} has columns {', '.join(names)}, but `headers` are others")

    def read(columns: Sequence[str]) -> pa.Table:
        try:
            table = source.read(columns=list(columns)).select(list(columns))
        except (OSError, pa.ArrowException) as error:
            raise InputError(f"{file} is damaged: {error}; make it again") from error
        return as_text(table, file)

    return Table(file, names, read)
