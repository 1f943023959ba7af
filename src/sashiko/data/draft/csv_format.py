"""How a CSV file is written, as its bytes show: the encoding, and what stands between values."""

import codecs
import csv
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Literal

from sashiko.contract.model import Delimiter, Encoding
from sashiko.data.raw_files import DELIMITERS, python_encoding, shown
from sashiko.errors import InputError

_CHUNK_BYTES = 8 << 20
_ROWS = 100  # that are looked at for the delimiter
_LETTERS = 12
_FALLBACK: Encoding = "windows-1252"


@dataclass(frozen=True, kw_only=True)
class Stated:
    """How a person says that the file is written; None where the file shall show it."""

    delimiter: Delimiter | None = None
    encoding: Encoding | None = None
    decimal: Literal[".", ","] | None = None
    date_order: Literal["dmy", "mdy"] | None = None


@dataclass(frozen=True, kw_only=True)
class CsvFormat:
    """What a CSV file is read with, each with the reason."""

    delimiter: Delimiter = ","
    delimiter_why: str = ""
    encoding: Encoding = "utf-8"
    encoding_why: str = ""


def csv_format(path: Path, stated: Stated) -> CsvFormat:
    """Looks how a file is written; one that is no CSV, or not there, is for its reader to refuse.

    Raises:
        InputError: if its encoding cannot be told, with the option that says it.
    """
    if path.suffix.lower() != ".csv" or not path.is_file() or not path.stat().st_size:
        return CsvFormat()
    encoding, encoding_why = _encoding(path, stated.encoding)
    if stated.delimiter is not None:
        delimiter, why = stated.delimiter, "--delimiter says so"
    else:
        delimiter = _delimiter(path, encoding)
        why = f"{shown(delimiter)} parts every row of the file's beginning as it does the header"
    return CsvFormat(
        delimiter=delimiter, delimiter_why=why, encoding=encoding, encoding_why=encoding_why
    )


def _encoding(path: Path, stated: Encoding | None) -> tuple[Encoding, str]:
    if stated is not None:
        return stated, "--encoding says so"
    with path.open("rb") as handle:
        if handle.read(2) in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
            return "utf-16", "the file begins with the byte order mark of UTF-16"
    try:
        if not any("\0" in text for text in _decoded(path, "utf-8")):
            return "utf-8", ""
        raise InputError(
            f"{path} is not UTF-8 text: it holds zero bytes; name its encoding, such as "
            "--encoding utf-16"
        )
    except UnicodeDecodeError:
        pass
    letters: set[str] = set()
    try:
        for text in _decoded(path, _FALLBACK):
            letters |= {letter for letter in text if letter > "\x7f"}
    except UnicodeDecodeError as error:
        raise InputError(
            f"{path} is neither UTF-8 nor {_FALLBACK} text; name its encoding by --encoding"
        ) from error
    seen = " ".join(sorted(letters)[:_LETTERS])
    return _FALLBACK, f"the file is not UTF-8; look whether it holds these letters: {seen}"


def _decoded(path: Path, encoding: str) -> Iterator[str]:
    with path.open("rb") as handle:
        chunks = iter(lambda: handle.read(_CHUNK_BYTES), b"")
        yield from codecs.iterdecode(chunks, encoding)


def _delimiter(path: Path, encoding: Encoding) -> Delimiter:
    """Takes what gives every row as many values as the header has names, the most of them."""
    widths = {mark: _width(path, encoding, mark) for mark in DELIMITERS}
    return max(DELIMITERS, key=lambda mark: widths[mark])


def _width(path: Path, encoding: Encoding, delimiter: str) -> tuple[bool, int]:
    """Returns whether all rows are as long as the header and more than one value, and how long."""
    with path.open(encoding=python_encoding(encoding), newline="") as handle:
        try:
            rows = [*islice(csv.reader(handle, delimiter=delimiter), _ROWS)]
        except (csv.Error, UnicodeDecodeError):
            return False, 0
    lengths = {len(row) for row in rows if row}
    header = len(rows[0]) if rows else 0
    return len(lengths) == 1 and header > 1, header
