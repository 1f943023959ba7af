"""Interprets configured values as categories.

A value is a text, or 0 or 1 as the code of a label. Clarify takes other numbers for values,
thresholds or ranges by the share of distinct values, so one configuration can select another group
when rows are added; they are refused.
"""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sashiko.bias.clarify.config import Value
from sashiko.evaluation.metrics.arrays import Bools

MOST_GROUPS = 50


def rows_with(column: pa.ChunkedArray, values: Sequence[Value]) -> Bools:
    """Returns which rows of a column of strings have one of the values; null has none.

    Returns:
        Shape (rows,).
    """
    matches = [text for text in distinct(column) if is_one_of(text, values)]
    return np.asarray(pc.is_in(column, pa.array(matches, pa.string())), dtype=np.bool_)


def distinct(column: pa.ChunkedArray) -> list[str]:
    """Returns the column's values, sorted, without null."""
    return sorted(pc.unique(column.drop_null()).to_pylist())


def is_one_of(text: str, values: Sequence[Value]) -> bool:
    """Returns whether a text is one of the values."""
    return any(same(text, value) for value in values)


def same(text: str, value: Value) -> bool:
    """Returns whether a value of the data equals a configured one; 1 equals `1` and `1.0`."""
    return text == str(value) or (not isinstance(value, str) and as_number(text) == value)


def as_number(text: str) -> float | None:
    """Parses a number; None if the text is not one."""
    try:
        return float(text)
    except ValueError:
        return None
