"""Reads CSV and Parquet files batch by batch, and turns them into the contract's typed table.

Only the types of values are checked here. The Validate gate checks nulls, duplicates, unknown
labels and the rest, and reports them all.
"""

import codecs
import csv
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv

from sashiko.base.files import sha256_file
from sashiko.base.parquet import TableStream, open_parquet, write_batches
from sashiko.base.problems import shorten
from sashiko.contract.derive import arrow_schema
from sashiko.contract.leaks import leak_checks
from sashiko.contract.model import Column, Contract, Delimiter, Ingest
from sashiko.contract.suite_checks import run_checks
from sashiko.contract.text_form import column_form
from sashiko.data.values import can_cast, cast_values, missing_to_null
from sashiko.errors import InputError
from sashiko.evaluation.gates.verdict import Verdict, decide

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


def ingest(source: Path, contract: Contract, destination: Path) -> int:
    """Streams a CSV or Parquet file atomically into a Parquet file of the contract's table.

    Memory does not grow with the rows.

    Returns:
        The number of rows written.

    Raises:
        InputError: as `typed_batches`, or if `destination` cannot be written.
    """
    return write_batches(
        destination, typed_batches(source, contract), schema=arrow_schema(contract, "all")
    )


def typed_batches(path: Path, contract: Contract) -> Iterator[pa.RecordBatch]:
    """Yields a raw file's rows with the contract's names and types, cleaned by its `ingest` rules.

    In addition, columns other than text are trimmed and their empty values are null; NaN is null;
    a time without a zone is UTC.

    Raises:
        InputError: with file, column, row and value, if the file is not readable, a column is
            missing or not in the contract, or a value does not have its column's type.
    """
    places, rules = {c.name: c.physical_name for c in contract.columns}, contract.ingest
    expected = [place for name, place in places.items() if name != rules.row_number]
    first_row = 0
    for batch in raw_batches(path, delimiter=rules.delimiter, encoding=rules.encoding):
        header = batch.schema.names
        if rules.row_number is not None and header[0] == "":
            header = header[1:]
        if missing := [name for name in expected if name not in header]:
            raise InputError(
                f"{path}: column {_listed(missing)} of the contract `{contract.id}` is missing; "
                f"the file has {_listed(header)}. Correct the file, or set the column's name in "
                f"the file as its `physicalName`{other_delimiter(header)}"
            )
        if extra := [name for name in header if name not in expected]:
            raise InputError(
                f"{path}: column {_listed(extra)} is not in the contract `{contract.id}`; "
                "describe and classify it there, or leave it out of the file"
            )
        yield _typed(path, batch, contract, first_row, places)
        first_row += batch.num_rows


def typed_columns(path: Path, contract: Contract, names: Sequence[str]) -> Iterator[pa.RecordBatch]:
    """Yields some of a raw file's columns, cleaned and typed as in the lake.

    Args:
        path: a CSV or Parquet file; its other columns are ignored.
        contract: has the cleaning rules.
        names: the contract's names of the columns; the file may have these or the physical ones.

    Raises:
        InputError: as `typed_batches`; other columns in the file are allowed.
    """
    rules = contract.ingest
    columns = [contract.column(name) for name in names]
    first_row = 0
    for batch in raw_batches(path, delimiter=rules.delimiter, encoding=rules.encoding):
        header = batch.schema.names
        places = {c.name: c.physical_name if c.physical_name in header else c.name for c in columns}
        wanted = {name: place for name, place in places.items() if name != rules.row_number}
        if missing := [name for name, place in wanted.items() if place not in header]:
            raise InputError(
                f"{path}: column {_listed(missing)} is missing; needed are {_listed([*names])}, "
                f"the file has {_listed(header)}{other_delimiter(header)}"
            )
        yield _typed(path, batch, contract, first_row, places)
        first_row += batch.num_rows


def _listed(names: list[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _typed(
    path: Path, batch: pa.RecordBatch, contract: Contract, first_row: int, places: Mapping[str, str]
) -> pa.RecordBatch:
    """Types the columns of `places`: the contract's name -> the file's."""
    everything = arrow_schema(contract, "all")
    schema = pa.schema([everything.field(name) for name in places])
    arrays = []
    for field, place in zip(schema, places.values(), strict=True):
        column = contract.column(field.name)
        if column.name == contract.ingest.row_number and place not in batch.schema.names:
            arrays.append(pa.array(range(first_row, first_row + batch.num_rows), field.type))
            continue
        raw = clean_texts(batch.column(place), column, contract.ingest)
        form = column_form(column, contract.ingest)
        try:
            arrays.append(cast_values(raw, field.type, form=form))
        except pa.ArrowException as error:
            index = next(
                index
                for index in range(len(raw))
                if not can_cast(raw.slice(index, 1), field.type, form=form)
            )
            public = column.classification == "none"
            value = shorten(repr(raw[index].as_py())) if public else "the value"
            raise InputError(
                f"{path}: column `{place}`, row {first_row + index + 1}: {value} "
                f"is not a value of type {column.logical_type}{_format(column, contract)}; correct "
                "the file, or the column in the contract (rows count from 1, without the header)"
            ) from error
    return pa.record_batch(arrays, schema=schema)


def clean_texts(values: pa.Array, column: Column, rules: Ingest) -> pa.Array:
    """Trims texts and replaces those that stand for a missing value by null.

    `values` are a column's, as they were written; of another type than text they stay as they are.
    """
    if pa.types.is_dictionary(values.type):
        values = values.dictionary_decode()
    if not (pa.types.is_string(values.type) or pa.types.is_large_string(values.type)):
        return values
    values = values.cast(pa.string())
    is_text = column.logical_type == "string"
    if rules.trim or not is_text:
        values = pc.utf8_trim_whitespace(values)
    missing = (*rules.null_values, *(() if is_text else ("",)))
    return missing_to_null(values, missing)


def _format(column: Column, contract: Contract) -> str:
    """Describes the contract's format of a column's values, if it is not the default."""
    rules = contract.ingest
    if column.options.format:
        return f", written {column.options.format}"
    numeric = column.logical_type in ("integer", "number")
    if not numeric or (rules.decimal, rules.thousands) == (".", ""):
        return ""
    between = f" and {rules.thousands!r} between thousands" if rules.thousands else ""
    return f", written with {rules.decimal!r} before decimals{between}"


def check_file(path: Path, contract: Contract) -> Verdict:
    """Returns the verdict of the gate `data-quality` on a CSV or Parquet file.

    The file is cleaned first as the lake's data are. All columns are checked; the verdict contains
    no value of a sensitive or personal one.

    Raises:
        InputError: as `typed_batches`.
    """

    def read(names: Sequence[str]) -> Iterator[pa.RecordBatch]:
        return (batch.select(list(names)) for batch in typed_batches(path, contract))

    stream = TableStream(schema=arrow_schema(contract, "all"), read=read)
    return decide(
        gate="data-quality",
        checks=[*run_checks(stream, contract, "all"), *leak_checks(stream, contract)],
        inputs={"contract": contract.sha256, "data": sha256_file(path)},
    )
