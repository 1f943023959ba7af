"""Which rows have one of the values that a configuration names."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sashiko.clarify.config import Value
from sashiko.metrics.arrays import Bools


def distinct(column: pa.ChunkedArray) -> list[str]:
    """Returns the column's values, sorted."""
    return sorted(pc.unique(column).to_pylist())


def matches(column: pa.ChunkedArray, values: Sequence[Value]) -> Bools:
    """Says per row whether its text is one of `values`, where `1`, `1.0` and `"1"` are equal.

    Args:
        column: strings without nulls.
        values: what to look for.

    Returns:
        Shape (rows,).
    """
    found = [text for text in distinct(column) if any(same(text, value) for value in values)]
    return np.asarray(pc.is_in(column, pa.array(found, pa.string())), dtype=np.bool_)


def same(text: str, value: Value) -> bool:
    """Says whether a value of the data is a value of the configuration."""
    if text == str(value):
        return True
    if isinstance(value, str):
        return False
    try:
        return float(text) == float(value)
    except ValueError:
        return False
