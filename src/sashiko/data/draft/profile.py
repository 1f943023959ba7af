"""Profiles a raw CSV or Parquet file: its columns' names, types and values."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from sashiko.contract.columns import LogicalType
from sashiko.contract.derive import ARROW_TYPES
from sashiko.data.draft.csv_format import CsvFormat, FormatOptions, csv_format
from sashiko.data.draft.naming import lake_names
from sashiko.data.draft.numbers import NumberMarks
from sashiko.data.draft.records import ColumnType
from sashiko.data.draft.types import text_types
from sashiko.data.raw_files import raw_batches
from sashiko.data.values import can_cast, cast_values, missing_to_null
from sashiko.errors import InputError

_PROSE_CHARACTERS = 25  # on average
_NULL_VALUES = ("?", "NA", "N/A", "n/a", "NULL", "null", "NaN", "nan")
_YEAR = re.compile(r"(?:19|20)\d\d")  # a name that a column of numbers may have
_NATIVE: tuple[tuple[Callable[[pa.DataType], bool], LogicalType], ...] = (
    (pa.types.is_boolean, "boolean"),
    (pa.types.is_integer, "integer"),
    (pa.types.is_floating, "number"),
    (pa.types.is_decimal, "number"),
    (pa.types.is_date, "date"),
    (pa.types.is_timestamp, "timestamp"),
)


@dataclass(frozen=True, eq=False)
class Profile:
    """A column of the file."""

    name: str  # in the lake
    physical_name: str  # in the file
    logical_type: LogicalType  # the contract's type that every value has
    why: str
    texts: pa.Array  # cleaned; null for a missing value
    values: pa.Array  # the same, typed as `derive.ARROW_TYPES` says
    date_format: str = ""  # as in `ColumnType`
    warning: str = ""  # as in `ColumnType`

    @property
    def missing(self) -> int:
        """How many rows have no value."""
        return int(self.values.null_count)

    @property
    def distinct(self) -> int:
        """How many different values there are."""
        return int(pc.count_distinct(self.values).as_py())

    @property
    def is_unique(self) -> bool:
        """Whether each row has a value of its own."""
        return self.distinct == len(self.values)

    @property
    def is_date(self) -> bool:
        """Whether its values are dates or times."""
        return self.logical_type in ("date", "timestamp")

    @property
    def is_prose(self) -> bool:
        """Whether its values are sentences."""
        mean = pc.mean(pc.utf8_length(self.texts)).as_py() or 0
        return bool(self.logical_type == "string" and mean >= _PROSE_CHARACTERS)


@dataclass(frozen=True)
class RawTable:
    """A whole file."""

    columns: tuple[Profile, ...]  # without an unnamed first one
    numbered: bool  # the first column has no name, as in an exported index
    trim: bool  # a value has blanks around it
    null_values: tuple[str, ...]  # texts that stand for a missing value
    csv: CsvFormat
    marks: NumberMarks


def read_raw(path: Path, options: FormatOptions) -> RawTable:
    """Reads and profiles a CSV or Parquet file.

    Raises:
        InputError: if the file cannot be read (see `raw_batches`), its format cannot be detected,
            or a column has no name or a type that contracts do not have.
    """
    csv = csv_format(path, options)
    batches = raw_batches(path, delimiter=csv.delimiter, encoding=csv.encoding)
    table = pa.Table.from_batches(batches).combine_chunks()
    numbered = table.column_names[0] == ""
    if numbered:
        table = table.drop_columns([""])
    if not table.num_columns or "" in table.column_names:
        raise InputError(f"{path}: a column has no name; give each a name in the header")
    raw = {name: _plain(path, name, table[name]) for name in table.column_names}
    texts = {name: column for name, column in raw.items() if pa.types.is_string(column.type)}
    trimmed = {name: pc.utf8_trim_whitespace(column) for name, column in texts.items()}
    cleaned = {
        name: missing_to_null(column, ("", *_NULL_VALUES)) for name, column in trimmed.items()
    }
    types, marks = text_types(cleaned, delimiter=csv.delimiter, options=options)
    _refuse_missing_header(path, types)
    return RawTable(
        columns=tuple(
            _profile(path, name, place, cleaned.get(place, raw[place]), types.get(place))
            for name, place in zip(lake_names(table.column_names), raw, strict=True)
        ),
        numbered=numbered,
        trim=any(not texts[name].equals(trimmed[name]) for name in texts),
        null_values=tuple(
            sorted(
                text
                for text in _NULL_VALUES
                if any(pc.index(column, text).as_py() >= 0 for column in trimmed.values())
            )
        ),
        csv=csv,
        marks=marks,
    )


def _refuse_missing_header(path: Path, types: Mapping[str, ColumnType]) -> None:
    """Refuses a file whose first line is a row: a column's name is a value of its own type."""
    for name, detected in types.items():
        if detected.kind == "string" or _YEAR.fullmatch(name):
            continue
        if can_cast(pa.array([name]), ARROW_TYPES[detected.kind], form=detected.form):
            raise InputError(
                f"{path}: the first line seems to be a row and not the header: `{name}` stands "
                f"above a column of type {detected.kind}; write the columns' names into the first "
                "line"
            )


def _plain(path: Path, name: str, column: pa.ChunkedArray) -> pa.Array:
    """Returns a column as one array, with texts and categories as plain strings."""
    values = pa.concat_arrays(column.chunks)
    if pa.types.is_dictionary(values.type):
        values = values.dictionary_decode()
    kind = values.type
    if pa.types.is_large_string(kind) or pa.types.is_null(kind):
        return values.cast(pa.string())
    if pa.types.is_string(kind) or any(is_kind(kind) for is_kind, _ in _NATIVE):
        return values
    raise InputError(
        f"{path}: column `{name}` has type {kind}, which no contract has; write it as text, "
        "number or date, or leave it out of the file"
    )


def _profile(
    path: Path, name: str, physical_name: str, raw: pa.Array, detected: ColumnType | None
) -> Profile:
    if detected is None:
        kind = next(kind for is_kind, kind in _NATIVE if is_kind(raw.type))
        detected = ColumnType(kind=kind, why=f"the file's own type is {raw.type}")
    kind = detected.kind
    try:
        return Profile(
            name=name,
            physical_name=physical_name,
            logical_type=kind,
            why=detected.why,
            texts=cast_values(raw, pa.string()),
            values=cast_values(raw, ARROW_TYPES[kind], form=detected.form),
            date_format=detected.date_format,
            warning=detected.warning,
        )
    except pa.ArrowException as error:
        raise InputError(
            f"{path}: column `{physical_name}` ({raw.type}) has values that do not fit the type "
            f"{kind}, {ARROW_TYPES[kind]}; correct them, or leave the column out of the file"
        ) from error
