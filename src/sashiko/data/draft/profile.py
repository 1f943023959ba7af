"""A raw CSV or Parquet file, column by column: names, types and what its values look like."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from sashiko.contract.columns import LogicalType
from sashiko.contract.derive import ARROW_TYPES
from sashiko.data.draft.csv_format import CsvFormat, Stated, csv_format
from sashiko.data.draft.naming import lake_names
from sashiko.data.draft.numbers import NumberMarks
from sashiko.data.draft.types import TextType, text_types
from sashiko.data.raw_files import raw_batches
from sashiko.data.values import cast_values
from sashiko.errors import InputError

_PROSE_CHARACTERS = 25  # on average
_STAND_INS = ("?", "NA", "N/A", "n/a", "NULL", "null", "NaN", "nan")
_NATIVE: tuple[tuple[Callable[[pa.DataType], bool], LogicalType], ...] = (
    (pa.types.is_boolean, "boolean"),
    (pa.types.is_integer, "integer"),
    (pa.types.is_floating, "number"),
    (pa.types.is_decimal, "number"),
    (pa.types.is_date, "date"),
    (pa.types.is_timestamp, "timestamp"),
)


@dataclass(frozen=True)
class Profile:
    """A column as it was found.

    Attributes:
        name: what it will be called in the lake.
        physical_name: what the file calls it.
        logical_type: the contract's type that every value has.
        why: what that was seen from.
        texts: the values as text, cleaned; null where one is missing.
        values: the same, typed as `derive.ARROW_TYPES` says.
        date_format: how its dates are written; empty for ISO 8601 and for what is none.
        warning: what keeps it from being the date or number that it nearly is; else empty.
    """

    name: str
    physical_name: str
    logical_type: LogicalType
    why: str
    texts: pa.Array
    values: pa.Array
    date_format: str = ""
    warning: str = ""

    @property
    def missing(self) -> int:
        """How many rows have no value."""
        return int(self.values.null_count)

    @property
    def distinct(self) -> int:
        """How many different values there are."""
        return int(pc.count_distinct(self.values).as_py())

    @property
    def is_prose(self) -> bool:
        """Whether its values are sentences."""
        mean = pc.mean(pc.utf8_length(self.texts)).as_py() or 0
        return bool(self.logical_type == "string" and mean >= _PROSE_CHARACTERS)


@dataclass(frozen=True)
class RawTable:
    """A whole file.

    Attributes:
        rows: how many.
        columns: all but an unnamed first one.
        numbered: whether the file's first column has no name, as a written-out index.
        trim: whether a value has blanks around it.
        stand_ins: texts that seem to mean "missing".
        csv: what a CSV file is read with.
        marks: how its numbers are written.
    """

    rows: int
    columns: tuple[Profile, ...]
    numbered: bool
    trim: bool
    stand_ins: tuple[str, ...]
    csv: CsvFormat
    marks: NumberMarks


def read_raw(path: Path, stated: Stated) -> RawTable:
    """Reads a CSV or Parquet file and looks at every value.

    Raises:
        InputError: if the file cannot be read (`raw_batches` says how), it does not show how it is
            written, or a column has no name or a type that no contract knows.
    """
    csv = csv_format(path, stated)
    batches = raw_batches(path, delimiter=csv.delimiter, encoding=csv.encoding)
    table = pa.Table.from_batches(batches).combine_chunks()
    numbered = table.column_names[0] == ""
    if numbered:
        table = table.drop_columns([""])
    if not table.num_columns or "" in table.column_names:
        raise InputError(f"{path}: a column has no name; give each a name in the header")
    raw = [_plain(path, name, table[name]) for name in table.column_names]
    texts = [column for column in raw if pa.types.is_string(column.type)]
    trimmed = [pc.utf8_trim_whitespace(column) for column in texts]
    used = {
        text for column in trimmed for text in _STAND_INS if pc.index(column, text).as_py() >= 0
    }
    cleaned = {
        name: _cleaned(column)
        for name, column in zip(table.column_names, raw, strict=True)
        if pa.types.is_string(column.type)
    }
    types, marks = text_types(cleaned, delimiter=csv.delimiter, stated=stated)
    names = zip(lake_names(table.column_names), table.column_names, raw, strict=True)
    return RawTable(
        rows=table.num_rows,
        columns=tuple(
            _typed(path, name, place, cleaned.get(place, column), types.get(place))
            for name, place, column in names
        ),
        numbered=numbered,
        trim=any(not old.equals(new) for old, new in zip(texts, trimmed, strict=True)),
        stand_ins=tuple(sorted(used)),
        csv=csv,
        marks=marks,
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
        f"{path}: column `{name}` has type {kind}, which no contract knows; write it as text, "
        "number or date, or leave it out of the file"
    )


def _cleaned(raw: pa.Array) -> pa.Array:
    texts = pc.utf8_trim_whitespace(raw)
    missing = pc.is_in(texts, value_set=pa.array(["", *_STAND_INS]))
    return pc.if_else(missing, pa.scalar(None, pa.string()), texts)


def _typed(
    path: Path, name: str, physical_name: str, raw: pa.Array, text: TextType | None
) -> Profile:
    if text is None:
        kind = next(kind for is_kind, kind in _NATIVE if is_kind(raw.type))
        text = TextType(kind=kind, why=f"the file's own type is {raw.type}")
    kind = text.kind
    try:
        return Profile(
            name=name,
            physical_name=physical_name,
            logical_type=kind,
            why=text.why,
            texts=cast_values(raw, pa.string()),
            values=cast_values(raw, ARROW_TYPES[kind], form=text.form),
            date_format=text.date_format,
            warning=text.warning,
        )
    except pa.ArrowException as error:
        raise InputError(
            f"{path}: column `{physical_name}` ({raw.type}) has values that do not fit the type "
            f"{kind}, {ARROW_TYPES[kind]}; mend them, or leave the column out of the file"
        ) from error
