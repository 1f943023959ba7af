"""Reads the columns that an analysis uses from all files of its data set."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sashiko.bias.clarify.tables import Table
from sashiko.errors import InputError
from sashiko.evaluation.metrics.arrays import Ints

FACET = "facet."
_COUNT = "rows"
_PENDING_ROWS = 65_536
_EMPTY = pa.array(["", "nan", "NaN", "NAN", "-nan"])


def read_columns(tables: Sequence[Table], columns: Mapping[str, str]) -> tuple[pa.Table, Ints]:
    """Reads columns of every file of a data set: key of the configuration -> the column's name.

    Equal rows are merged and counted, so that memory grows only with the distinct rows.

    Returns:
        A column of strings for each of these keys, of which only a facet's has nulls; and how many
        rows each row stands for, shape (rows,).

    Raises:
        InputError: if a column is missing, a column other than a facet has empty values, or there
            is no row.
    """
    for table in tables:
        for key, name in columns.items():
            table.check(name, key=key)
    rows = (part.rename_columns(list(columns)) for t in tables for part in _rows(t, columns))
    merged, counts = _count_equal(rows)
    if not merged.num_rows:
        raise InputError(f"{tables[0].file} has no rows")
    return merged, counts


def _rows(table: Table, names: Mapping[str, str]) -> Iterator[pa.Table]:
    """Reads the columns; facets without a value are null, others are refused."""
    total = 0
    missing: Counter[str] = Counter()
    for batch in table.read(list(names.values())):
        rows = batch
        total += rows.num_rows
        for index, (key, name) in enumerate(names.items()):
            empty = pc.or_(pc.is_null(rows[name]), pc.is_in(rows[name], _EMPTY))
            count = pc.sum(empty).as_py()
            if count and key.startswith(FACET):
                values = pc.if_else(empty, pa.scalar(None, pa.string()), rows[name])
                rows = rows.set_column(index, name, values)
            elif count:
                missing[key] += count
        yield rows
    for key, count in missing.items():
        raise InputError(
            f"{table.file}: column `{names[key]}` (`{key}`) has {count} empty values of {total}"
            "; remove these rows or fill them in"
        )


def _count_equal(parts: Iterable[pa.Table]) -> tuple[pa.Table, Ints]:
    """Returns the distinct rows in the order of first occurrence, and their counts."""
    pending: list[pa.Table] = []
    limit = _PENDING_ROWS
    for part in parts:
        pending.append(
            _merge_equal(part.append_column(_COUNT, pa.array(np.ones(len(part), np.int64))))
        )
        if sum(map(len, pending)) > limit:
            pending = [_merge_equal(pa.concat_tables(pending))]
            # Avoids quadratic time where nearly all rows are distinct.
            limit = max(_PENDING_ROWS, 2 * len(pending[0]))
    if not pending:
        return pa.table({}), np.zeros(0, dtype=np.int64)
    merged = _merge_equal(pa.concat_tables(pending))
    return merged.drop_columns(_COUNT), np.asarray(merged[_COUNT], dtype=np.int64)


def _merge_equal(rows: pa.Table) -> pa.Table:
    keys = [name for name in rows.column_names if name != _COUNT]
    # One thread keeps the order in which rows first occur.
    groups = rows.group_by(keys, use_threads=False).aggregate([(_COUNT, "sum")])
    return groups.rename_columns([*keys, _COUNT])
