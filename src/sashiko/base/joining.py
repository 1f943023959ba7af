"""Joins by key in which an unmatched row is an error."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from sashiko.base.parquet import stream_columns
from sashiko.errors import InputError

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_DUPLICATES = (
    "{}: key column `{}` has {} values more than once, such as {!r}; every row needs a key of its "
    "own"
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
        "group; remove these rows or give them a value of their own, such as `unknown`"
    )
