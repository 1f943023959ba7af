"""Turns a raw file into the contract's typed table.

Nothing is judged here but whether a value has its column's type: nulls, duplicates, unseen labels
and the like are for the Validate gate, which reports them all.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from sashiko.aws.glue_job.spec import TextForm
from sashiko.contract.columns import Column
from sashiko.contract.derive import arrow_schema
from sashiko.contract.model import Contract
from sashiko.contract.text_form import column_form
from sashiko.core.parquet import write_batches
from sashiko.data.raw_files import other_delimiter, raw_batches
from sashiko.data.values import cast_values
from sashiko.errors import InputError

_SHOWN_CHARACTERS = 60


def ingest(source: Path, contract: Contract, destination: Path) -> int:
    """Streams a CSV or Parquet file into the contract's table, in memory that does not grow.

    Args:
        source: the raw file.
        contract: the data contract.
        destination: the Parquet file; it appears whole or not at all.

    Returns:
        How many rows were written.

    Raises:
        InputError: as `typed_batches`, or if `destination` cannot be written.
    """
    return write_batches(
        destination, typed_batches(source, contract), schema=arrow_schema(contract, "all")
    )


def typed_batches(path: Path, contract: Contract) -> Iterator[pa.RecordBatch]:
    """Yields a raw file's rows under the contract's names and types, cleaned as its ingest says.

    Beyond the contract's rules, in a column that is not text blanks around a value are cut and an
    empty value is null; a number that is NaN is null; a time without a zone is UTC.

    Raises:
        InputError: with file, column, row and value, if the file is not readable, a column is
            missing or too many, or a value does not have its column's type.
    """
    places = {column.name: column.physical_name for column in contract.columns}
    first_row = 0
    for batch in _batches(path, contract):
        if not first_row:
            _check_columns(path, batch.schema.names, contract)
        yield _typed(path, batch, contract, first_row, places)
        first_row += batch.num_rows


def typed_columns(
    path: Path,
    contract: Contract,
    names: Sequence[str],
    *,
    batches: Iterable[pa.RecordBatch] | None = None,
) -> Iterator[pa.RecordBatch]:
    """Yields some of a raw file's columns, cleaned and typed as the lake's would be.

    Args:
        path: a CSV or Parquet file; its other columns are ignored.
        contract: says how values are cleaned.
        names: the contract's names of the columns; the file may have these or the physical ones.
        batches: what was read of a file of JSON, whose numbers have a decimal point.

    Raises:
        InputError: as `typed_batches`, but for columns that nobody asked for.
    """
    if batches is not None:
        plain = {"decimal": ".", "thousands": ""}
        ingest = contract.ingest.model_copy(update=plain)
        contract = contract.model_copy(update={"ingest": ingest})
    columns = [contract.column(name) for name in names]
    first_row = 0
    for batch in _batches(path, contract) if batches is None else batches:
        found = batch.schema.names
        places = {c.name: c.physical_name if c.physical_name in found else c.name for c in columns}
        missing = [
            name
            for name, place in places.items()
            if place not in found and name != contract.ingest.row_number
        ]
        if missing:
            raise InputError(
                f"{path}: column {_listed(missing)} is missing; needed are {_listed([*names])}, "
                f"the file has {_listed(found)}{other_delimiter(found)}"
            )
        yield _typed(path, batch, contract, first_row, places)
        first_row += batch.num_rows


def _batches(path: Path, contract: Contract) -> Iterator[pa.RecordBatch]:
    rules = contract.ingest
    return raw_batches(path, delimiter=rules.delimiter, encoding=rules.encoding)


def _check_columns(path: Path, found: list[str], contract: Contract) -> None:
    row_number = contract.ingest.row_number
    wanted = [c.physical_name for c in contract.columns if c.name != row_number]
    if row_number is not None and found[0] == "":
        found = found[1:]
    missing = [name for name in wanted if name not in found]
    if missing:
        raise InputError(
            f"{path}: column {_listed(missing)} of the contract `{contract.id}` is missing; "
            f"the file has {_listed(found)}. Mend the file, or name the column as the file does "
            f"under `physicalName`{other_delimiter(found)}"
        )
    extra = [name for name in found if name not in wanted]
    if extra:
        raise InputError(
            f"{path}: column {_listed(extra)} is not in the contract `{contract.id}`; "
            "describe and classify it there, or leave it out of the file"
        )


def _listed(names: list[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _typed(
    path: Path,
    batch: pa.RecordBatch,
    contract: Contract,
    first_row: int,
    places: Mapping[str, str],
) -> pa.RecordBatch:
    """Types the columns of `places`: the contract's name -> the file's."""
    everything = arrow_schema(contract, "all")
    schema = pa.schema([everything.field(name) for name in places])
    arrays = []
    for field in schema:
        column = contract.column(field.name)
        counted = column.name == contract.ingest.row_number
        if counted and places[column.name] not in batch.schema.names:
            arrays.append(pa.array(range(first_row, first_row + batch.num_rows), field.type))
            continue
        raw = _cleaned(batch.column(places[column.name]), column, contract)
        form = column_form(column, contract.ingest)
        try:
            arrays.append(cast_values(raw, field.type, form=form))
        except pa.ArrowException as error:
            index, value = _first_misfit(raw, field.type, form)
            shown = _shown(value) if column.classification == "none" else "the value"
            raise InputError(
                f"{path}: column `{places[column.name]}`, row {first_row + index + 1}: {shown} "
                f"is not a value of type {column.logical_type}{_written(column, contract)}; mend "
                "the file, or what the contract says of the column (rows count from 1, without "
                "the header)"
            ) from error
    return pa.record_batch(arrays, schema=schema)


def _cleaned(values: pa.Array, column: Column, contract: Contract) -> pa.Array:
    """Trims texts and turns those that mean "missing" into nulls; other values pass."""
    if pa.types.is_dictionary(values.type):
        values = values.dictionary_decode()
    if not (pa.types.is_string(values.type) or pa.types.is_large_string(values.type)):
        return values
    values = values.cast(pa.string())
    is_text = column.logical_type == "string"
    if contract.ingest.trim or not is_text:
        values = pc.utf8_trim_whitespace(values)
    missing = (*contract.ingest.null_values, *(() if is_text else ("",)))
    is_missing = pc.is_in(values, value_set=pa.array(missing, pa.string()))
    return pc.if_else(is_missing, pa.scalar(None, pa.string()), values)


def _written(column: Column, contract: Contract) -> str:
    """Says how the contract has the values of a column written, where it says so."""
    rules = contract.ingest
    if column.options.format:
        return f", written {column.options.format}"
    numeric = column.logical_type in ("integer", "number")
    if not numeric or (rules.decimal, rules.thousands) == (".", ""):
        return ""
    between = f" and {rules.thousands!r} between thousands" if rules.thousands else ""
    return f", written with {rules.decimal!r} before decimals{between}"


def _first_misfit(values: pa.Array, kind: pa.DataType, form: TextForm | None) -> tuple[int, object]:
    """Finds the first value that cannot be cast, and its index in the batch."""
    for index in range(len(values)):
        try:
            cast_values(values.slice(index, 1), kind, form=form)
        except pa.ArrowException:
            return index, values[index].as_py()
    raise AssertionError("a batch failed to cast, and each of its values did not")


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[: _SHOWN_CHARACTERS - 3]}..."
