"""Interprets configured values as categories, a threshold, or a range.

Clarify decides by the share of distinct values, so one configuration can select another group
when rows are added. These rules do not depend on the number of rows:

- a text is a value;
- where the number given, or a number of the column, has a fraction, one number is a threshold
  (more than it) and two are a range (more than the first, at most the second);
- several whole numbers in a column of whole numbers are values;
- one whole number in a column of whole numbers is a value where the column has at most 10 of them
  and a threshold where it has more than 50; between, it is refused, with how to say which.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sashiko.clarify.bias.config import Value
from sashiko.errors import InputError
from sashiko.evaluation.metrics.arrays import Bools, Floats

MOST_GROUPS = 50
_MOST_CODES = 10


@dataclass(frozen=True)
class Criterion:
    """A condition that selects rows."""

    name: str  # as Clarify writes it: values joined by commas, or an interval such as `(40, 90]`
    values: tuple[Value, ...] | None = None  # the accepted values; None for a threshold or a range
    low: float = -np.inf  # exclusive lower bound of a number
    high: float = np.inf  # inclusive upper bound

    def holds(self, column: pa.ChunkedArray) -> Bools:
        """Returns which rows of a column of strings match; null does not match.

        Returns:
            Shape (rows,).

        Raises:
            InputError: if a threshold or a range is applied to texts.
        """
        if self.values is not None:
            matches = [text for text in distinct(column) if self.has(text)]
            return np.asarray(pc.is_in(column, pa.array(matches, pa.string())), dtype=np.bool_)
        numbers = as_numbers(column)
        if numbers is None:
            raise InputError(f"{self.name} is of numbers, but the column holds texts")
        return np.asarray((numbers > self.low) & (numbers <= self.high))

    def has(self, text: str) -> bool:
        """Returns whether a text is one of the values."""
        return any(same(text, value) for value in self.values or ())


def criterion(column: pa.ChunkedArray, configured: Sequence[Value], *, key: str) -> Criterion:
    """Interprets configured values for a column.

    Raises:
        InputError: if one whole number may be a value or a threshold, or a range is reversed.
    """
    values = Criterion(name=",".join(str(value) for value in configured), values=tuple(configured))
    bounds = [float(value) for value in configured if not isinstance(value, str)]
    numbers = as_numbers(column.drop_null()) if len(bounds) == len(configured) <= 2 else None
    if numbers is None or not len(numbers):
        return values
    whole_numbers = not _fractions(np.array(bounds)) and not _fractions(numbers)
    if whole_numbers and (
        len(bounds) > 1 or not _is_threshold(distinct(column), configured[0], key=key)
    ):
        return values
    low, high = bounds if len(bounds) == 2 else (bounds[0], max(bounds[0], numbers.max()))
    if low > high:
        raise InputError(
            f"analysis configuration: `{key}`: the range {low:g} to {high:g} is reversed; give "
            "the lower bound first"
        )
    name = f"({low:.0f}, {high:.0f}]" if whole_numbers else f"({float(low)}, {float(high)}]"
    return Criterion(name=name, low=low, high=high)


def distinct(column: pa.ChunkedArray) -> list[str]:
    """Returns the column's values, sorted, without null."""
    return sorted(pc.unique(column.drop_null()).to_pylist())


def same(text: str, value: Value) -> bool:
    """Returns whether a value of the data equals a configured one; 1 equals `1` and `1.0`."""
    if text == str(value):
        return True
    if isinstance(value, str):
        return False
    number = as_number(text)
    return number is not None and number == value


def as_number(text: str) -> float | None:
    """Parses a number; None if the text is not one."""
    try:
        return float(text)
    except ValueError:
        return None


def as_numbers(column: pa.ChunkedArray) -> Floats | None:
    """Returns a column of strings as numbers, shape (rows,), NaN for null.

    Returns:
        None if a text is not a finite number.
    """
    try:
        numbers = pc.cast(column, pa.float64())
    except pa.ArrowException:
        return None
    return np.asarray(numbers) if pc.all(pc.is_finite(numbers)).as_py() is not False else None


def _fractions(numbers: Floats) -> bool:
    return bool((numbers != np.floor(numbers)).any())


def _is_threshold(texts: Sequence[str], value: Value, *, key: str) -> bool:
    if _MOST_CODES < len(texts) <= MOST_GROUPS:
        raise InputError(
            f"analysis configuration: `{key}`: {value} may be one of the column's {len(texts)} "
            f'values or a threshold; write "{value}" for the value, {float(value):.0f}.5 for all '
            "numbers above it"
        )
    return len(texts) > MOST_GROUPS
