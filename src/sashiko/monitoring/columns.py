"""Counts of a column's values, of the reference and, by the same cells, of a window."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import model_validator

from sashiko.core.yaml_models import Frozen
from sashiko.evaluation.metrics.arrays import Floats, Ints

_MOST_VALUES = 50
_LEAST_ROWS = 10  # of a value that is named; rarer ones are among the others
_BINS = 20
_UNCOUNTED = 2  # cells after those of values or bins: any other value, and none


class ColumnCounts(Frozen):
    """Rows of a column by value, or by bin of a number.

    A bin holds the values from one edge up to the next, without it; the first has no lower end
    and the last no upper one.
    """

    column: str
    values: tuple[str, ...] = ()  # of a column with few values, in alphabetical order
    edges: tuple[float, ...] = ()  # of a numeric column: between its bins, ascending
    # Rows of each value, or bin, then of any other value, then without one.
    counts: tuple[int, ...]

    @model_validator(mode="after")
    def _check_cells(self) -> "ColumnCounts":
        if self.values and self.edges:
            raise ValueError("a column has either `values` or `edges`")
        if any(low >= high for low, high in pairwise(self.edges)):
            raise ValueError("`edges` must ascend")
        named = len(self.edges) + 1 if self.is_ordered else len(self.values)
        if len(self.counts) != named + _UNCOUNTED or min(self.counts) < 0:
            raise ValueError(f"`counts` needs {named + _UNCOUNTED} numbers of rows")
        return self

    @property
    def is_ordered(self) -> bool:
        """Whether the cells are bins of a number."""
        return bool(self.edges)


def count_reference(column: str, data: pa.ChunkedArray) -> ColumnCounts:
    """Counts a column of the reference, and so fixes the cells that windows are counted by.

    Numbers of more than 20 values get bins of about equal numbers of rows. Of other columns the 50
    most frequent values are named, each of at least 10 rows.
    """
    if _is_number(data) and pc.count_distinct(data).as_py() > _BINS:
        numbers = data.drop_null().cast(pa.float64()).to_numpy()
        inner = np.quantile(numbers[np.isfinite(numbers)], np.arange(1, _BINS) / _BINS)
        return _counted(column, (), tuple(float(edge) for edge in np.unique(inner)), data)
    counted = pc.value_counts(data.cast(pa.string()).drop_null()).to_pylist()
    frequent = sorted(
        (-item["counts"], item["values"]) for item in counted if item["counts"] >= _LEAST_ROWS
    )
    values = tuple(sorted(value for _, value in frequent[:_MOST_VALUES]))
    return _counted(column, values, (), data)


def count_window(reference: ColumnCounts, data: pa.ChunkedArray) -> ColumnCounts:
    """Counts the same column of a window by the reference's cells."""
    return _counted(reference.column, reference.values, reference.edges, data)


def cells_of(cells: ColumnCounts, data: pa.ChunkedArray) -> Ints:
    """Returns the number of each row's cell, shape (rows,)."""
    if cells.is_ordered:
        return _bins(cells.edges, data)
    found = pc.index_in(data.cast(pa.string()), value_set=pa.array(cells.values, pa.string()))
    other = len(cells.values)
    numbers: Ints = pc.fill_null(found, other).to_numpy().astype(np.int64)
    numbers[data.is_null().to_numpy()] = other + 1
    return numbers


def _counted(
    column: str, values: tuple[str, ...], edges: tuple[float, ...], data: pa.ChunkedArray
) -> ColumnCounts:
    named = len(edges) + 1 if edges else len(values)
    cells = ColumnCounts(
        column=column, values=values, edges=edges, counts=(0,) * (named + _UNCOUNTED)
    )
    counts = np.bincount(cells_of(cells, data), minlength=named + _UNCOUNTED)
    return cells.model_copy(update={"counts": tuple(int(count) for count in counts)})


def _bins(edges: Sequence[float], data: pa.ChunkedArray) -> Ints:
    """Puts values that are no numbers, NaN among them, into the cell of other values."""
    numbers: Floats = data.cast(pa.float64()).to_numpy()
    bins: Ints = np.searchsorted(np.array(edges), numbers, side="right").astype(np.int64)
    bins[np.isnan(numbers)] = len(edges) + 1
    bins[data.is_null().to_numpy()] = len(edges) + 2
    return bins


def _is_number(data: pa.ChunkedArray) -> bool:
    return bool(pa.types.is_integer(data.type) or pa.types.is_floating(data.type))
