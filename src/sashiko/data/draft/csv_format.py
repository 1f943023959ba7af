"""Detects the encoding and the delimiter of a CSV file, and how it writes numbers."""

import codecs
import csv
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Final, Literal

import pyarrow as pa
import pyarrow.compute as pc

from sashiko.contract.model import Delimiter, Encoding
from sashiko.contract.text_form import number_pattern
from sashiko.data.ingest import DELIMITERS, decode_chunks, describe_delimiter, python_encoding
from sashiko.data.values import all_match
from sashiko.errors import InputError

Decimal = Literal[".", ","]
Thousands = Literal["", ".", ",", " ", "'"]
_MARKS: tuple[tuple[Decimal, Thousands], ...] = (
    (".", ""), (",", ""), (",", "."), (".", ","), (",", " "), (".", " "), (",", "'"), (".", "'"),
)  # fmt: skip
# One mark before three digits: decimals or thousands.
_AMBIGUOUS = r"^[+-]?[1-9]\d{0,2}[.,]\d{3}\z"
NUMBER_LIKE: Final = r"^[+-]?[\d., '’\x{00a0}\x{202f}]*\d[\d., '’\x{00a0}\x{202f}]*\z"
_ROWS = 100  # that show the delimiter
_LETTERS = 12
_FALLBACK: Encoding = "windows-1252"


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
    before decimals stands between thousands: a comma between commas, else a point. The columns are
    cleaned texts, null for a missing value; `decimal` is the user's option.
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
            f"`1{mark}234` is read as {value} but could be {other}, and nothing in the file "
            f"decides: if it is the latter, start again with --decimal {option}"
        )
    count = len(numeric[best])
    are = " is" if count == 1 else "s are"
    why = f"read this way, {count:,} column{are} of numbers, more than in any other reading"
    return NumberMarks(decimal=best[0], thousands=best[1], why=why, ambiguity=ambiguity)


def is_ambiguous(texts: pa.Array) -> bool:
    """Returns whether all marked numbers of a column have one mark and three digits after it."""
    marked = texts.filter(pc.match_substring_regex(texts, "[.,]"))
    return len(marked) > 0 and all_match(marked, _AMBIGUOUS)


@dataclass(frozen=True, kw_only=True)
class FormatOptions:
    """The user's options for the format of a file; None where it is detected."""

    delimiter: Delimiter | None = None
    encoding: Encoding | None = None
    decimal: Literal[".", ","] | None = None
    date_order: Literal["dmy", "mdy"] | None = None


@dataclass(frozen=True, kw_only=True)
class CsvFormat:
    """The format of a CSV file, with reasons."""

    delimiter: Delimiter = ","
    delimiter_why: str = ""
    encoding: Encoding = "utf-8"
    encoding_why: str = ""


def csv_format(path: Path, options: FormatOptions) -> CsvFormat:
    """Detects the format of a file; the reader refuses one that is missing or not CSV.

    Raises:
        InputError: if its encoding is unknown, with the option that names it.
    """
    if path.suffix.lower() != ".csv" or not path.is_file() or not path.stat().st_size:
        return CsvFormat()
    encoding, encoding_why = _encoding(path, options.encoding)

    def width(delimiter: str) -> tuple[bool, int]:
        """Says whether all rows have the header's length, beyond one value; and that length."""
        with path.open(encoding=python_encoding(encoding), newline="") as handle:
            try:
                rows = [*islice(csv.reader(handle, delimiter=delimiter), _ROWS)]
            except (csv.Error, UnicodeDecodeError):
                return False, 0
        header = len(rows[0]) if rows else 0
        return {len(row) for row in rows if row} == {header} and header > 1, header

    # The one that gives every row as many values as the header, and the most of them.
    best: Delimiter = max(DELIMITERS, key=width)
    mark = describe_delimiter(best)
    why = f"{mark} splits every row at the beginning of the file as it splits the header"
    if options.delimiter is not None:
        best, why = options.delimiter, "--delimiter says so"
    return CsvFormat(
        delimiter=best, delimiter_why=why, encoding=encoding, encoding_why=encoding_why
    )


def _encoding(path: Path, option: Encoding | None) -> tuple[Encoding, str]:
    if option is not None:
        return option, "--encoding says so"
    with path.open("rb") as handle:
        if handle.read(2) in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
            return "utf-16", "the file begins with the byte order mark of UTF-16"
    try:
        if not any("\0" in text for text in decode_chunks(path, "utf-8")):
            return "utf-8", ""
        raise InputError(
            f"{path} is not UTF-8 text: it contains zero bytes; name its encoding, such as "
            "--encoding utf-16"
        )
    except UnicodeDecodeError:
        pass
    letters: set[str] = set()
    try:
        for text in decode_chunks(path, _FALLBACK):
            letters |= {letter for letter in text if letter > "\x7f"}
    except UnicodeDecodeError as error:
        raise InputError(
            f"{path} is neither UTF-8 nor {_FALLBACK} text; name its encoding by --encoding"
        ) from error
    examples = " ".join(sorted(letters)[:_LETTERS])
    return _FALLBACK, f"the file is not UTF-8; check that it contains these letters: {examples}"
