"""A table that can be read repeatedly in pieces, without holding it in memory."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from sashiko.base.parquet import open_parquet, regroup

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
