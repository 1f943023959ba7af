"""Detects the encoding and the delimiter of a CSV file."""

import codecs
import csv
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Literal

from sashiko.contract.model import Delimiter, Encoding
from sashiko.data.raw_files import DELIMITERS, decode_chunks, describe_delimiter, python_encoding
from sashiko.errors import InputError

_ROWS = 100  # that show the delimiter
_LETTERS = 12
_FALLBACK: Encoding = "windows-1252"


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
    delimiter: Delimiter = options.delimiter or max(DELIMITERS, key=width)
    mark = describe_delimiter(delimiter)
    why = f"{mark} parts every row of the file's beginning as it does the header"
    if options.delimiter is not None:
        why = "--delimiter says so"
    return CsvFormat(
        delimiter=delimiter, delimiter_why=why, encoding=encoding, encoding_why=encoding_why
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
