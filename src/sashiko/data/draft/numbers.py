"""Detects the decimal mark and the thousands separator of a file's numbers."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

import pyarrow as pa
import pyarrow.compute as pc

from sashiko.contract.text_form import number_pattern
from sashiko.data.values import all_match

Decimal = Literal[".", ","]
Thousands = Literal["", ".", ",", " ", "'"]
_MARKS: tuple[tuple[Decimal, Thousands], ...] = (
    (".", ""), (",", ""), (",", "."), (".", ","), (",", " "), (".", " "), (",", "'"), (".", "'"),
)  # fmt: skip
# One mark before three digits: decimals or thousands.
_AMBIGUOUS = r"^[+-]?[1-9]\d{0,2}[.,]\d{3}\z"
NUMBER_LIKE: Final = r"^[+-]?[\d., '’\x{00a0}\x{202f}]*\d[\d., '’\x{00a0}\x{202f}]*\z"


@dataclass(frozen=True, kw_only=True)
class NumberMarks:
    """The marks of a file's numbers."""

    decimal: Decimal = "."
    thousands: Thousands = ""  # between groups of three digits; empty for none
    why: str = ""
    ambiguity: str = ""  # of columns that fit the other mark too, if no other column decides


def number_marks(
    columns: Sequence[pa.Array], *, delimiter: str, decimal: Decimal | None
) -> NumberMarks:
    """Returns the marks by which the most columns are numbers; of equal ones the plainest.

    Where numbers such as 1.234 can be read in two ways, the mark that the delimiter makes unlikely
    before decimals stands between thousands: a comma between commas, else a point.

    Args:
        columns: cleaned texts; null for a missing value.
        delimiter: of the file.
        decimal: the user's option.
    """
    candidates = [marks for marks in _MARKS if decimal in (None, marks[0])]
    if delimiter == ",":
        candidates.sort(key=lambda marks: marks[0] == ",")
    numeric = {
        (point, between): {
            index
            for index, texts in enumerate(columns)
            if all_match(texts, number_pattern(decimal=point, thousands=between, whole=False))
        }
        for point, between in candidates
    }
    most = max(len(indices) for indices in numeric.values())
    equal = [marks for marks in candidates if len(numeric[marks]) == most]
    best = equal[0]
    ambiguous = {index for index in numeric[best] if is_ambiguous(columns[index])}
    grouped: tuple[Decimal, Thousands] = (".", ",") if delimiter == "," else (",", ".")
    if ambiguous and decimal is None and grouped in equal:
        best = grouped
    others = [marks for marks in equal if marks[0] != best[0] and ambiguous & numeric[marks]]
    if decimal:
        return NumberMarks(decimal=best[0], thousands=best[1], why="--decimal says so")
    ambiguity = ""
    if others:
        mark = best[1] or best[0]
        value, other = ("1234", "1.234") if best[1] else ("1.234", "1234")
        option = "point" if (mark == ".") == bool(best[1]) else "comma"
        ambiguity = (
            f"`1{mark}234` is read as {value} and could be {other}, and nothing in the file "
            f"decides: if so, start again with --decimal {option}"
        )
    count = len(numeric[best])
    are = " is" if count == 1 else "s are"
    why = f"read so, {count:,} column{are} of numbers, the most of all ways to read the file"
    return NumberMarks(decimal=best[0], thousands=best[1], why=why, ambiguity=ambiguity)


def is_ambiguous(texts: pa.Array) -> bool:
    """Returns whether all marked numbers of a column have one mark and three digits after it."""
    marked = texts.filter(pc.match_substring_regex(texts, "[.,]"))
    return len(marked) > 0 and all_match(marked, _AMBIGUOUS)
