"""Turns a raw file into the contract's typed table.

Only the types of values are checked here. The Validate gate checks nulls, duplicates, unknown
labels and the rest, and reports them all.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from sashiko.base.files import sha256_file
from sashiko.base.parquet import write_batches
from sashiko.base.problems import shorten
from sashiko.contract.derive import arrow_schema
from sashiko.contract.leaks import leak_checks
from sashiko.contract.model import Column, Contract, Ingest
from sashiko.contract.suite_checks import run_checks
from sashiko.contract.table_stream import TableStream
from sashiko.contract.text_form import column_form
from sashiko.data.raw_files import other_delimiter, raw_batches
from sashiko.data.values import can_cast, cast_values, missing_to_null
from sashiko.errors import InputError
from sashiko.evaluation.gates.verdict import Verdict, decide


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


def typed_columns(
    path: Path,
    contract: Contract,
    names: Sequence[str],
    *,
    batches: Iterable[pa.RecordBatch] | None = None,
) -> Iterator[pa.RecordBatch]:
    """Yields some of a raw file's columns, cleaned and typed as in the lake.

    Args:
        path: a CSV or Parquet file; its other columns are ignored.
        contract: has the cleaning rules.
        names: the contract's names of the columns; the file may have these or the physical ones.
        batches: the content of a JSON file, whose numbers have a decimal point.

    Raises:
        InputError: as `typed_batches`; other columns in the file are allowed.
    """
    rules = contract.ingest
    if batches is None:
        batches = raw_batches(path, delimiter=rules.delimiter, encoding=rules.encoding)
    else:
        rules = rules.model_copy(update={"decimal": ".", "thousands": ""})
        contract = contract.model_copy(update={"ingest": rules})
    columns = [contract.column(name) for name in names]
    first_row = 0
    for batch in batches:
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
