"""Reads CSV and Parquet files without conversion, batch by batch."""

import codecs
import csv
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.csv as pacsv

from sashiko.base.parquet import open_parquet
from sashiko.contract.model import Delimiter
from sashiko.errors import InputError

_BATCH_ROWS = 65_536
DELIMITERS: tuple[Delimiter, ...] = (",", ";", "\t", "|")
# No row may be longer than a block.
_BLOCK_BYTES = 8 << 20


def raw_batches(
    path: Path, *, delimiter: str = ",", encoding: str = "utf-8"
) -> Iterator[pa.RecordBatch]:
    """Yields the rows of a CSV file, as texts, or of a Parquet file, with its types.

    A CSV file has a header; with the encoding `utf-8`, a byte order mark may come first.

    Yields:
        At least one batch with at least one row.

    Raises:
        InputError: if the file is missing, empty, cut off, of another encoding, of another kind,
            has a row of another length than its header, or a column name twice.
    """
    suffix = path.suffix.lower()
    if suffix not in (".csv", ".parquet"):
        raise InputError(f"{path}: expected a file that ends in .csv or .parquet")
    if not path.is_file():
        raise InputError(f"{path} does not exist")
    if path.stat().st_size == 0:
        raise InputError(f"{path} is empty; expected a header and rows")
    batches = _parquet_batches(path)
    if suffix == ".csv":
        batches = _csv_batches(path, delimiter=delimiter, encoding=encoding)
    rows = 0
    for batch in batches:
        rows += batch.num_rows
        if batch.num_rows:
            yield batch
    if not rows:
        raise InputError(f"{path} has columns but no rows")


def _parquet_batches(path: Path) -> Iterator[pa.RecordBatch]:
    with open_parquet(path) as file:
        _refuse_repeated(path, file.schema_arrow.names)
        try:
            yield from file.iter_batches(batch_size=_BATCH_ROWS)
        except (OSError, pa.ArrowException) as error:
            reason = " ".join(str(error).split())
            raise InputError(
                f"{path}: its pages are damaged ({reason}); copy or write it again"
            ) from error


def _csv_batches(path: Path, *, delimiter: str, encoding: str) -> Iterator[pa.RecordBatch]:
    _refuse_other_encodings(path, encoding)
    with path.open(encoding=python_encoding(encoding), newline="") as handle:
        names = next(csv.reader(handle, delimiter=delimiter), None)
    if names and re.fullmatch("sep=.?", "".join(names[:2])):
        raise InputError(
            f"{path}: the first line is a spreadsheet's `sep=`, which is not part of the table; "
            "remove the line"
        )
    if names == []:
        raise InputError(f"{path}: the first line is blank; it must have the columns' names")
    names = names or []
    _refuse_repeated(path, names)
    reading = pacsv.ReadOptions(
        use_threads=False,  # so that an error has the row's number
        block_size=_BLOCK_BYTES,
        encoding="utf8" if encoding == "utf-8" else encoding,
        column_names=names,
        skip_rows_after_names=1,
    )
    texts = dict.fromkeys(names, pa.string())
    try:
        yield from pacsv.open_csv(
            path,
            reading,
            pacsv.ParseOptions(delimiter=delimiter, newlines_in_values=True),
            pacsv.ConvertOptions(column_types=texts, strings_can_be_null=False),
        )
    except pa.ArrowException as error:
        # Arrow repeats the row's text after this, which may be personal data.
        match = re.search(r"Row #\d+: Expected \d+ columns, got \d+", str(error))
        reason = " ".join(str(error).split())
        if match:
            reason = f"{match[0]} (the header is row 1)"
        raise InputError(
            f"{path}: {reason}; every row needs the header's {len(names)} columns, with "
            f"{describe_delimiter(delimiter)} between them, and quotes around a value that "
            f"contains one{other_delimiter(names)}"
        ) from error


def describe_delimiter(delimiter: str) -> str:
    """Formats a delimiter for a message."""
    return "a tab" if delimiter == "\t" else f"`{delimiter}`"


def other_delimiter(names: Sequence[str]) -> str:
    """Returns a hint if a header of one column seems to have several, else an empty text."""
    marks = [mark for mark in DELIMITERS if len(names) == 1 and mark in names[0]]
    if not marks:
        return ""
    return (
        f". Its header seems to have {describe_delimiter(marks[0])} between the columns: say "
        f"`delimiter: {marks[0]!r}` under `ingest` of the contract, as `sashiko contract init` "
        "drafts it"
    )


def _refuse_repeated(path: Path, names: list[str]) -> None:
    for name in names:
        if names.count(name) > 1:
            raise InputError(f"{path}: column `{name}` is there twice; rename or remove one")


def python_encoding(encoding: str) -> str:
    """Returns Python's name of an encoding, for UTF-8 the one that skips a byte order mark."""
    return "utf-8-sig" if encoding == "utf-8" else encoding


def decode_chunks(path: Path, encoding: str) -> Iterator[str]:
    """Yields a file's text in pieces.

    Raises:
        UnicodeDecodeError: if it has another encoding; `object` and `start` refer to the piece.
    """
    with path.open("rb") as handle:
        yield from codecs.iterdecode(iter(lambda: handle.read(_BLOCK_BYTES), b""), encoding)


def _refuse_other_encodings(path: Path, encoding: str) -> None:
    line = 1
    try:
        for text in decode_chunks(path, encoding):
            before, zero_byte, _ = text.partition("\0")
            line += before.count("\n")
            if zero_byte:
                break
        else:
            return
    except UnicodeDecodeError as error:
        line += error.object[: error.start].count(b"\n")
    name = encoding.upper() if encoding.startswith("utf") else encoding
    raise InputError(
        f"{path}: line {line} is not {name} text; set its `encoding`, such as windows-1252 or "
        "utf-16, under `ingest` of the contract, as `sashiko contract init` drafts it, or convert "
        "the file, for example with `iconv -f WINDOWS-1252 -t UTF-8`"
    )
