"""Joins by key that lose no row: what has no partner is an error, never dropped."""

from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from sashiko.errors import InputError


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
        raise InputError(
            f"{source}: key column `{column}` has {len(repeated)} values more than once, such as "
            f"{repeated.field('values')[0].as_py()!r}; every row needs a key of its own"
        )
    return keys


def positions(
    keys: pa.ChunkedArray, among: pa.ChunkedArray, *, source: Path, among_source: Path
) -> pa.ChunkedArray:
    """Returns where each key stands in `among`.

    Raises:
        InputError: if a key is not there, with how many are not and one of them.
    """
    found = pc.index_in(keys, value_set=among.combine_chunks())
    if found.null_count:
        lost = keys.filter(pc.is_null(found))
        raise InputError(
            f"{source}: {found.null_count} of {len(keys)} keys, such as {lost[0].as_py()!r}, are "
            f"not in {among_source}; both must be of the same data"
        )
    return found


def facet_values(table: pa.Table, column: str, *, source: Path) -> pa.ChunkedArray:
    """Returns a facet as strings.

    Raises:
        InputError: if it has nulls or empty texts, which belong to no group.
    """
    values = table[column].cast(pa.string())
    missing = pc.sum(pc.fill_null(pc.equal(values, ""), True)).as_py()
    if missing:
        raise InputError(
            f"{source}: facet `{column}` has {missing} empty values of {len(values)}, which belong "
            "to no group; remove these rows or give them a value of their own, such as `unknown`"
        )
    return values
