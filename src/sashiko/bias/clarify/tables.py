"""Opens files of a data set: first the column names, then the selected columns."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from sashiko.base.parquet import open_parquet, stream_columns
from sashiko.errors import InputError


@dataclass(frozen=True)
class Table:
    """One file of a data set."""

    file: Path  # its path, for errors
    names: tuple[str, ...]  # the columns, in the file's order
    # Columns' names -> those columns, in that order, as strings, some rows at a time.
    read: Callable[[Sequence[str]], Iterator[pa.Table]]

    def check(self, name: str, *, key: str) -> None:
        """Checks that the file has the column that a configuration's key names.

        Raises:
            InputError: if there is no such column, or more than one of that name.
        """
        if name not in self.names:
            raise InputError(
                f"{self.file} lacks column `{name}` of the analysis configuration (`{key}`); "
                f"it has {', '.join(self.names)}"
            )
        if self.names.count(name) > 1:
            raise InputError(f"{self.file}: column `{name}` occurs more than once")


def as_text(table: pa.Table, file: Path) -> pa.Table:
    """Returns a table's columns as strings.

    Raises:
        InputError: if a column holds lists, records or bytes.
    """
    columns = {}
    for name in table.column_names:
        try:
            columns[name] = table[name].cast(pa.string())
        except pa.ArrowException as error:
            raise InputError(
                f"{file}: column `{name}` is of type {table[name].type}, which has no values that "
                "can be compared; make it a text or a number"
            ) from error
    return pa.table(columns)


def open_parquet_file(file: Path, *, headers: Sequence[str] | None) -> Table:
    """Opens a Parquet file.

    Raises:
        InputError: if it is damaged, or `headers` differ from its column names.
    """
    source = open_parquet(file)
    names = tuple(source.schema_arrow.names)
    if headers is not None and tuple(headers) != names:
        raise InputError(f"{file} has columns {', '.join(names)}, but `headers` differ")

    def read(columns: Sequence[str]) -> Iterator[pa.Table]:
        for rows in stream_columns(file, columns):
            yield as_text(rows, file)

    return Table(file, names, read)
