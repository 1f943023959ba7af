"""How a file writes its numbers: the decimal mark, and what stands between thousands."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import pyarrow as pa
import pyarrow.compute as pc

from sashiko.contract.text_form import number_pattern

Decimal = Literal[".", ","]
Thousands = Literal["", ".", ",", " ", "'"]
_PLAIN: tuple[Decimal, Thousands] = (".", "")
_MARKS: tuple[tuple[Decimal, Thousands], ...] = (
    _PLAIN, (",", ""), (",", "."), (".", ","), (",", " "), (".", " "), (",", "'"), (".", "'"),
)  # fmt: skip
# One mark before three digits: decimals, or thousands?
_EITHER = r"^[+-]?[1-9]\d{0,2}[.,]\d{3}\z"
_MARKED = r"[.,]"
_NUMBERISH = r"^[+-]?[\d., '’\x{00a0}\x{202f}]*\d[\d., '’\x{00a0}\x{202f}]*\z"


@dataclass(frozen=True, kw_only=True)
class NumberMarks:
    """The marks of a file's numbers.

    Attributes:
        decimal: stands before decimals.
        thousands: may stand between groups of three digits; empty for nothing.
        why: what that was seen from.
        unsure: what to say of a column whose numbers could be read with the other mark as well;
            empty where another column of the file tells.
    """

    decimal: Decimal = "."
    thousands: Thousands = ""
    why: str = ""
    unsure: str = ""


def number_marks(
    columns: Sequence[pa.Array], *, delimiter: str, decimal: Decimal | None
) -> NumberMarks:
    """Takes the marks by which the most columns are numbers, of equal ones the plainest.

    Where numbers such as 1.234 can be read in two ways, the mark that the delimiter makes unlikely
    before decimals stands between thousands: a comma between commas, else a point.

    Args:
        columns: the file's texts, cleaned; null where one is missing.
        delimiter: of the file.
        decimal: the decimal mark, where a person says it.
    """
    allowed = [marks for marks in _MARKS if decimal in (None, marks[0])]
    if delimiter == ",":
        allowed.sort(key=lambda marks: marks[0] == ",")
    fits = {
        marks: [i for i, texts in enumerate(columns) if _fit(texts, marks)] for marks in allowed
    }
    most = max(len(numbers) for numbers in fits.values())
    best = next(marks for marks in allowed if len(fits[marks]) == most)
    either = [i for i in fits[best] if is_either(columns[i])]
    grouped: tuple[Decimal, Thousands] = (".", ",") if delimiter == "," else (",", ".")
    if either and decimal is None and len(fits[grouped]) == most:
        best = grouped
    others = [
        marks for marks in allowed if marks[0] != best[0] and set(either) & set(fits[marks])
        and len(fits[marks]) == most
    ]  # fmt: skip
    told = decimal is not None or not others
    return NumberMarks(
        decimal=best[0],
        thousands=best[1],
        why="--decimal says so" if decimal else _why(len(fits[best])),
        unsure="" if told else _unsure(best),
    )


def is_either(texts: pa.Array) -> bool:
    """Tells whether all marked numbers of a column have one mark and three digits after it."""
    marked = texts.filter(pc.match_substring_regex(texts, _MARKED))
    return bool(len(marked) and pc.all(pc.match_substring_regex(marked, _EITHER)).as_py())


def is_numberish(texts: pa.Array) -> bool:
    """Tells whether a column holds digits and marks alone, which are no numbers together."""
    return bool(pc.all(pc.match_substring_regex(texts, _NUMBERISH)).as_py())


def _fit(texts: pa.Array, marks: tuple[Decimal, Thousands]) -> bool:
    pattern = number_pattern(decimal=marks[0], thousands=marks[1], whole=False)
    return bool(pc.all(pc.match_substring_regex(texts, pattern)).as_py())


def _why(columns: int) -> str:
    many = f"{columns:,} column{' is' if columns == 1 else 's are'}"
    return f"read so, {many} of numbers, the most of all ways to read the file"


def _unsure(marks: tuple[Decimal, Thousands]) -> str:
    mark = marks[1] or marks[0]
    says, other = ("1234", "1.234") if marks[1] else ("1.234", "1234")
    wanted = "point" if (mark == ".") == bool(marks[1]) else "comma"
    return (
        f"`1{mark}234` is read as {says} and could be {other}, which nothing in the file tells: if "
        f"so, start again with --decimal {wanted}"
    )
