"""Counts of a column's values, of the reference and, by the same cells, of a window."""

from typing import Final, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sashiko.evaluation.metrics.arrays import Floats, Ints
from sashiko.evaluation.reference import SMALLEST_COUNT, UNCOUNTED, ColumnCounts

_MOST_BINS: Final = 20
_MOST_VALUES: Final = 50
_LONGEST_VALUE: Final = 100  # letters
# Of JSON, and as little more as `float` reads.
_NUMBER: Final = r"^[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?$"


def count_reference(column: str, data: pa.ChunkedArray) -> ColumnCounts:
    """Counts a column of the reference, and so fixes the cells that windows are counted by.

    Numbers get at most 20 bins of about equal numbers of rows; so do the lengths of texts, which
    are strings that rarely repeat. Of other columns the 50 most frequent values are named, of at
    most 100 letters. Each value and bin has at least 10 rows, unless all rows are fewer.

    Args:
        column: its name.
        data: its values, of shape (rows,).
    """
    type_, present = data.type, len(data) - data.null_count
    values: tuple[str, ...] = ()
    edges: list[float] = []
    kind: Literal["category", "number", "text"] = "category"
    if pa.types.is_integer(type_) or pa.types.is_floating(type_) or pa.types.is_decimal(type_):
        kind = "number"
    elif pa.types.is_string(type_) and pc.count_distinct(data).as_py() > max(30, present / 4):
        kind = "text"  # as Evaluate's slices decide
    if kind == "category":
        frequent = sorted(
            (-item["counts"], item["values"])
            for item in pc.value_counts(_texts(data).drop_null()).to_pylist()
            if item["counts"] >= SMALLEST_COUNT and len(item["values"]) <= _LONGEST_VALUE
        )
        values = tuple(sorted(value for _, value in frequent[:_MOST_VALUES]))
    else:
        numbers = _numbers(kind, data)
        ascending = np.sort(numbers[np.isfinite(numbers)])
        bins = int(np.clip(len(ascending) // SMALLEST_COUNT, 1, _MOST_BINS))
        shares = np.linspace(0, 1, bins + 1)[1:-1]
        quantiles = np.quantile(ascending, shares, method="lower") if len(shares) else shares
        below = 0  # rows up to the last edge; equal numbers share a bin
        for edge in np.unique(quantiles):
            end = int(np.searchsorted(ascending, edge, side="right"))
            if min(end - below, len(ascending) - end) >= SMALLEST_COUNT:
                edges.append(float(edge))
                below = end
    named = len(values) if kind == "category" else len(edges) + 1
    counts = (0,) * (named + UNCOUNTED)
    cells = ColumnCounts(column=column, kind=kind, values=values, edges=tuple(edges), counts=counts)
    return count_window(cells, data)


def count_window(reference: ColumnCounts, data: pa.ChunkedArray) -> ColumnCounts:
    """Counts the same column of a window by the reference's cells."""
    counts = np.bincount(cells_of(reference, data), minlength=len(reference.counts))
    return reference.model_copy(update={"counts": tuple(int(count) for count in counts)})


def cells_of(cells: ColumnCounts, data: pa.ChunkedArray) -> Ints:
    """Returns the number of each row's cell, shape (rows,).

    A value that is no finite number is another value of a column of numbers, whose values may be
    texts, as requests are captured.
    """
    if cells.is_ordered:
        numbers = _numbers(cells.kind, data)
        places: Ints = np.searchsorted(cells.edges, numbers, side="left").astype(np.int64)
        places[~np.isfinite(numbers)] = cells.named
    else:
        known = pc.index_in(_texts(data), value_set=pa.array(cells.values, pa.string()))
        places = pc.fill_null(known, cells.named).to_numpy().astype(np.int64)
    places[data.is_null().to_numpy()] = cells.named + 1
    return places


def _numbers(kind: Literal["category", "number", "text"], data: pa.ChunkedArray) -> Floats:
    if kind == "text":
        values = pc.utf8_length(data)
    elif pa.types.is_string(data.type):
        values = pc.if_else(pc.match_substring_regex(data, _NUMBER), data, "nan")
    else:
        values = data
    numbers: Floats = values.cast(pa.float64()).fill_null(np.nan).to_numpy()
    return numbers


def _texts(data: pa.ChunkedArray) -> pa.ChunkedArray:
    """Formats values as a request has them; times as ISO 8601, as `Artifact.predict` sends them."""
    if not pa.types.is_timestamp(data.type):
        return data.cast(pa.string())
    # As naive UTC times, because a slim image has no time zone database.
    zone = "+00:00" if data.type.tz else ""
    times = data.cast(pa.timestamp("us")).to_pylist()
    return pa.chunked_array([[time and time.isoformat() + zone for time in times]], pa.string())
