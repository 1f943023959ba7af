"""A data set of an analysis: the columns that are used, from all its files, and its joins."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sashiko.clarify.bias.config import Reference
from sashiko.clarify.bias.tables import Table
from sashiko.core.joining import positions, unique_keys
from sashiko.errors import InputError
from sashiko.evaluation.metrics.arrays import Ints

JOIN = "joinsource_name_or_index"
FACET = "facet."
FEATURE = "feature."
_COUNT = "rows"
_WAITING_ROWS = 65_536
_EMPTY = pa.array(["", "nan", "NaN", "NAN", "-nan"])


@dataclass(frozen=True)
class Part:
    """One data set.

    Attributes:
        files: what it was read from, at least one.
        names: key of the configuration -> the column's name.
        rows: a column of strings for each of these keys; only a facet's or a feature's has nulls.
        counts: how many rows each of them stands for, shape (rows,); None where each is one.
    """

    files: tuple[Path, ...]
    names: Mapping[str, str]
    rows: pa.Table
    counts: Ints | None = None


def read_part(
    tables: Sequence[Table], wanted: Mapping[str, Reference], *, grouped: bool = False
) -> Part:
    """Reads columns of every file of a data set.

    Args:
        tables: the opened files, at least one.
        wanted: key of the configuration -> the column that it refers to.
        grouped: whether equal rows become one, with their count: then memory holds as many rows
            as differ, whatever the file has.

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
    rows = (part.rename_columns(list(names)) for table in tables for part in _rows(table, names))
    together, counts = (count_equal if grouped else _concatenated)(rows)
    if not together.num_rows:
        raise InputError(f"{tables[0].file} has no rows, so there is nothing to judge")
    return Part(tuple(table.file for table in tables), names, together, counts)


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


def _rows(table: Table, names: Mapping[str, str]) -> Iterator[pa.Table]:
    """Reads the columns; facets and features without a value are null, others are refused."""
    total = 0
    missing: Counter[str] = Counter()
    for read in table.read(list(names.values())):
        rows = read
        total += rows.num_rows
        for place, (key, name) in enumerate(names.items()):
            empty = pc.or_(pc.is_null(rows[name]), pc.is_in(rows[name], _EMPTY))
            count = pc.sum(empty).as_py()
            if count and key.startswith((FACET, FEATURE)):
                values = pc.if_else(empty, pa.scalar(None, pa.string()), rows[name])
                rows = rows.set_column(place, name, values)
            elif count:
                missing[key] += count
        yield rows
    for key, count in missing.items():
        raise InputError(
            f"{table.file}: column `{names[key]}` (`{key}`) has {count} empty values of {total}, "
            "which say nothing; remove these rows or fill them in"
        )


def _concatenated(parts: Iterable[pa.Table]) -> tuple[pa.Table, None]:
    found = list(parts)
    return (pa.concat_tables(found) if found else pa.table({})), None


def count_equal(parts: Iterable[pa.Table]) -> tuple[pa.Table, Ints]:
    """Makes one row of equal ones.

    Args:
        parts: the rows, in tables of the same columns.

    Returns:
        The rows that differ, in the order of their first, and how often each occurs, shape (rows,).
    """
    waiting: list[pa.Table] = []
    most = _WAITING_ROWS
    for part in parts:
        waiting.append(_merged(part.append_column(_COUNT, pa.array(np.ones(len(part), np.int64)))))
        if sum(map(len, waiting)) > most:
            waiting = [_merged(pa.concat_tables(waiting))]
            # So that merging rows that nearly all differ does not take the square of them.
            most = max(_WAITING_ROWS, 2 * len(waiting[0]))
    if not waiting:
        return pa.table({}), np.zeros(0, dtype=np.int64)
    found = _merged(pa.concat_tables(waiting))
    return found.drop_columns(_COUNT), np.asarray(found[_COUNT], dtype=np.int64)


def _merged(rows: pa.Table) -> pa.Table:
    keys = [name for name in rows.column_names if name != _COUNT]
    # One thread keeps the order in which rows first occur.
    found = rows.group_by(keys, use_threads=False).aggregate([(_COUNT, "sum")])
    return found.rename_columns([*keys, _COUNT])
