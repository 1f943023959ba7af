"""Reads CSV and Parquet files as they are, batch by batch."""

import codecs
import csv
import re
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.csv as pacsv

from sashiko.errors import InputError
from sashiko.parquet import open_parquet

_BATCH_ROWS = 65_536
# No row may be longer than a block.
_BLOCK_BYTES = 8 << 20


def raw_batches(path: Path) -> Iterator[pa.RecordBatch]:
    """Yields a file's rows with the file's own column names.

    Args:
        path: a `.csv` file (UTF-8, commas, a header; every column is read as text) or a `.parquet`
            file (columns keep their types).

    Yields:
        At least one batch with at least one row.

    Raises:
        InputError: if the file is missing, empty, cut off, not UTF-8, of another kind, has a row
            of another length than its header, or a column name twice.
    """
    readers = {".csv": _csv_batches, ".parquet": _parquet_batches}
    if path.suffix.lower() not in readers:
        raise InputError(f"{path}: expected a file that ends in {' or '.join(readers)}")
    if not path.is_file():
        raise InputError(f"{path} does not exist")
    if path.stat().st_size == 0:
        raise InputError(f"{path} is empty; expected a header and rows")
    rows = 0
    for batch in readers[path.suffix.lower()](path):
        rows += batch.num_rows
        if batch.num_rows:
            yield batch
    if not rows:
        raise InputError(f"{path} has columns but no rows; there is nothing to learn from")


def _parquet_batches(path: Path) -> Iterator[pa.RecordBatch]:
    with open_parquet(path) as file:
        _refuse_repeated(path, file.schema_arrow.names)
        try:
            yield from file.iter_batches(batch_size=_BATCH_ROWS)
        except (OSError, pa.ArrowException) as error:
            raise InputError(
                f"{path}: its pages are damaged ({_one_line(error)}); copy or write it again"
            ) from error


def _csv_batches(path: Path) -> Iterator[pa.RecordBatch]:
    _refuse_other_encodings(path)
    names = _header(path)
    _refuse_repeated(path, names)
    try:
        # Threads off: then a row that cannot be read is named by its number.
        reader = pacsv.open_csv(
            path,
            pacsv.ReadOptions(
                use_threads=False,
                block_size=_BLOCK_BYTES,
                column_names=names,
                skip_rows_after_names=1,
            ),
            pacsv.ParseOptions(newlines_in_values=True),
            pacsv.ConvertOptions(
                column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=False
            ),
        )
        yield from reader
    except pa.ArrowException as error:
        # Arrow repeats the row's text after this, which may hold personal data.
        found = re.search(r"Row #\d+: Expected \d+ columns, got \d+", str(error))
        reason = f"{found[0]} (the header is row 1)" if found else _one_line(error)
        raise InputError(
            f"{path}: {reason}; every row needs the header's {len(names)} columns, "
            "separated by commas, with quotes around a value that holds a comma"
        ) from error


def _header(path: Path) -> list[str]:
    with path.open(encoding="utf-8-sig", newline="") as handle:
        names = next(csv.reader(handle), None)
    if names == []:
        raise InputError(f"{path}: the first line is blank; it must hold the columns' names")
    return names or []


def _refuse_repeated(path: Path, names: list[str]) -> None:
    for name in names:
        if names.count(name) > 1:
            raise InputError(f"{path}: column `{name}` stands twice in it; rename or remove one")


def _refuse_other_encodings(path: Path) -> None:
    decoder = codecs.getincrementaldecoder("utf-8")()
    line = 1
    with path.open("rb") as handle:
        while True:
            chunk = handle.read(_BLOCK_BYTES)
            try:
                text = decoder.decode(chunk, final=not chunk)
            except UnicodeDecodeError as error:
                line += error.object[: error.start].count(b"\n")
                raise _not_utf8(path, line) from error
            if "\0" in text:
                raise _not_utf8(path, line + text[: text.index("\0")].count("\n"))
            if not chunk:
                return
            line += chunk.count(b"\n")


def _not_utf8(path: Path, line: int) -> InputError:
    return InputError(
        f"{path}: line {line} is not UTF-8 text; convert the file, "
        f"for example with `iconv -f WINDOWS-1252 -t UTF-8` or `-f UTF-16`"
    )


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
