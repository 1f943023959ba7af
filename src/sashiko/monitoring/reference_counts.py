"""Counts the held-out rows of a version, for its reference."""

from typing import Final, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sashiko.evaluation.metrics.arrays import Floats
from sashiko.monitoring.reference import ColumnReference, Histogram

_SMALLEST_CELL: Final = 10  # rows; a smaller cell could stand for a person
_MOST_BINS: Final = 20
_MOST_VALUES: Final = 100
_LONGEST_VALUE: Final = 100  # letters


def column_reference(name: str, column: pa.ChunkedArray) -> ColumnReference:
    """Counts a column's values.

    A string column whose values rarely repeat is a text. Of other strings, of booleans and of
    times the values with at least 10 rows are kept, at most 100 of at most 100 letters.

    Args:
        name: the column's name.
        column: its values, of shape (rows,).
    """
    kind = column.type
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        numbers = column.cast(pa.float64()).fill_null(np.nan).to_numpy()
        return _counted(name, "number", numbers[np.isfinite(numbers)], rows=len(column))
    texts = _texts(column)
    present = texts.drop_null()
    if pa.types.is_string(kind) and _is_free_text(present):
        lengths = pc.utf8_length(present).to_numpy().astype(np.float64)
        return _counted(name, "text", lengths, rows=len(column))
    counts = {item["values"]: item["counts"] for item in present.value_counts().to_pylist()}
    common = [
        value
        for value, rows in sorted(counts.items(), key=lambda item: (-item[1], item[0]))
        if rows >= _SMALLEST_CELL and len(value) <= _LONGEST_VALUE
    ][:_MOST_VALUES]
    values = {value: counts[value] for value in sorted(common)}
    return ColumnReference(
        name=name,
        kind="category",
        missing=texts.null_count,
        values=values,
        other=len(present) - sum(values.values()),
    )


def equal_mass_histogram(numbers: Floats) -> Histogram:
    """Counts numbers in at most 20 bins of about equal numbers of rows.

    Equal numbers share a bin, so there may be fewer. Each bin has at least 10 rows, unless all
    numbers together are fewer.

    Args:
        numbers: finite, of shape (rows,) with at least one.
    """
    ascending = np.sort(numbers)
    bins = int(np.clip(len(numbers) // _SMALLEST_CELL, 1, _MOST_BINS))
    quantiles = np.quantile(ascending, np.linspace(0, 1, bins + 1)[1:-1], method="lower")
    edges: list[float] = []
    ends = [0]  # how many numbers lie at or below each edge
    for edge in np.unique(quantiles):
        end = int(np.searchsorted(ascending, edge, side="right"))
        if min(end - ends[-1], len(numbers) - end) >= _SMALLEST_CELL:
            edges.append(float(edge))
            ends.append(end)
    rows = np.diff([*ends, len(numbers)])
    return Histogram(edges=tuple(edges), rows=tuple(int(count) for count in rows))


def _texts(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Formats values as a request has them; times as ISO 8601, as `Artifact.predict` sends them."""
    if not pa.types.is_timestamp(column.type):
        return column.cast(pa.string())
    # As naive UTC times, because a slim image has no time zone database.
    zone = "+00:00" if column.type.tz else ""
    times = column.cast(pa.timestamp("us")).to_pylist()
    return pa.chunked_array([[time and time.isoformat() + zone for time in times]], pa.string())


def _counted(
    name: str, kind: Literal["number", "text"], numbers: Floats, *, rows: int
) -> ColumnReference:
    return ColumnReference(
        name=name,
        kind=kind,
        missing=rows - len(numbers),
        histogram=equal_mass_histogram(numbers) if len(numbers) else None,
    )


def _is_free_text(texts: pa.ChunkedArray) -> bool:
    """Returns whether values rarely repeat, as Evaluate's slices decide it."""
    distinct: int = pc.count_distinct(texts).as_py()
    return distinct > max(30, len(texts) / 4)
