"""A data set of an analysis: the columns that are used, from all its files, and its joins."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from sashiko.clarify.config import Reference
from sashiko.clarify.tables import Table
from sashiko.errors import InputError
from sashiko.joining import positions, unique_keys

JOIN = "joinsource_name_or_index"
FACET = "facet."
FEATURE = "feature."
_EMPTY = pa.array(["", "nan", "NaN", "NAN", "-nan"])


@dataclass(frozen=True)
class Part:
    """One data set.

    Attributes:
        files: what it was read from, at least one.
        names: key of the configuration -> the column's name.
        rows: a column of strings for each of these keys; only a facet's or a feature's has nulls.
    """

    files: tuple[Path, ...]
    names: Mapping[str, str]
    rows: pa.Table


def read_part(tables: Sequence[Table], wanted: Mapping[str, Reference]) -> Part:
    """Reads columns of every file of a data set.

    Args:
        tables: the opened files, at least one.
        wanted: key of the configuration -> the column that it refers to.

    Raises:
        InputError: if a column is missing, differs between files or has empty values, where it is
            no facet's and no feature's, or there is no row.
    """
    names = _names(tables[0], wanted)
    for table in tables[1:]:
        if _names(table, wanted) != names:
            raise InputError(
                f"{table.file} and {tables[0].file} call the same columns differently: "
                f"{', '.join(table.names)} and {', '.join(tables[0].names)}; give them one header"
            )
    together = pa.concat_tables([_rows(table, names) for table in tables])
    if not together.num_rows:
        raise InputError(f"{tables[0].file} has no rows, so there is nothing to judge")
    files = tuple(table.file for table in tables)
    return Part(files, names, together.rename_columns(list(names)))


def joined(main: Part, other: Part, *, every_row: bool) -> pa.Table:
    """Returns the rows of another data set in the order of the main one's, one for each.

    They are joined by the key that both name in `joinsource_name_or_index`; without it the first
    row belongs to the first and so on, which is known of single files only.

    Args:
        main: the data set.
        other: facets or predictions.
        every_row: whether each row of `other` must be of a row of `main`.

    Raises:
        InputError: if a key is missing or doubled, a row has no partner, or rows cannot be told.
    """
    source, among = main.files[0], other.files[0]
    if JOIN not in main.names:
        if len(main.files) + len(other.files) > 2:
            raise InputError(
                f"{source} and {among}: a data set of several files is joined by key: name its "
                f"column in `{JOIN}`"
            )
        if main.rows.num_rows != other.rows.num_rows:
            raise InputError(
                f"{source} has {main.rows.num_rows:,} rows and {among} {other.rows.num_rows:,}; "
                f"name a key in `{JOIN}`, or make them of the same rows"
            )
        return other.rows
    keys = unique_keys(main.rows, JOIN, source=source)
    others = unique_keys(other.rows, JOIN, source=among)
    if every_row:
        positions(others, keys, source=among, among_source=source)
    return other.rows.take(positions(keys, others, source=source, among_source=among))


def _names(table: Table, wanted: Mapping[str, Reference]) -> dict[str, str]:
    names = {key: table.name(reference, key=key) for key, reference in wanted.items()}
    if len(set(names.values())) < len(names):
        told = ", ".join(f"{key} is `{name}`" for key, name in names.items())
        raise InputError(f"{table.file}: each of these must be a column of its own, but {told}")
    return names


def _rows(table: Table, names: Mapping[str, str]) -> pa.Table:
    """Reads the columns; facets and features without a value are null, others are refused."""
    rows = table.read(list(names.values()))
    for place, (key, name) in enumerate(names.items()):
        empty = pc.or_(pc.is_null(rows[name]), pc.is_in(rows[name], _EMPTY))
        missing = pc.sum(empty).as_py()
        if missing and not key.startswith((FACET, FEATURE)):
            raise InputError(
                f"{table.file}: column `{name}` (`{key}`) has {missing} empty values of "
                f"{len(empty)}, which say nothing; remove these rows or fill them in"
            )
        if missing:
            values = pc.if_else(empty, pa.scalar(None, pa.string()), rows[name])
            rows = rows.set_column(place, name, values)
    return rows
