"""A raw CSV or Parquet file, column by column: names, types and what its values look like."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from sashiko.contract.derive import ARROW_TYPES
from sashiko.contract.model import LogicalType
from sashiko.data.ingest import cast_values
from sashiko.data.raw_files import raw_batches
from sashiko.draft.naming import lake_names
from sashiko.errors import InputError

_PROSE_CHARACTERS = 25  # on average
_STAND_INS = ("?", "NA", "N/A", "n/a", "NULL", "null", "NaN", "nan")
_TEXT_TYPES: tuple[LogicalType, ...] = ("integer", "number", "boolean", "date", "timestamp")
_SAYS = {
    "integer": "whole number", "number": "number", "boolean": "true or false",
    "date": "date such as 2025-12-31", "timestamp": "date with a time",
}  # fmt: skip
# Digits that are a name: 007, or more of them than a whole number holds.
_CODE = r"^[+-]?0\d|^[+-]?\d{16,}$"
_OTHER_DATE = r"^\d{1,2}[./-]\d{1,2}[./-]\d{2,4}"
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
    """

    name: str
    physical_name: str
    logical_type: LogicalType
    why: str
    texts: pa.Array
    values: pa.Array

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
    """

    rows: int
    columns: tuple[Profile, ...]
    numbered: bool
    trim: bool
    stand_ins: tuple[str, ...]


def read_raw(path: Path) -> RawTable:
    """Reads a CSV or Parquet file and looks at every value.

    Raises:
        InputError: if the file cannot be read (`raw_batches` says how), or a column has no name or
            a type that no contract knows.
    """
    table = pa.Table.from_batches(raw_batches(path)).combine_chunks()
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
    names = zip(lake_names(table.column_names), table.column_names, raw, strict=True)
    return RawTable(
        rows=table.num_rows,
        columns=tuple(_profile(path, name, place, column) for name, place, column in names),
        numbered=numbered,
        trim=any(not old.equals(new) for old, new in zip(texts, trimmed, strict=True)),
        stand_ins=tuple(sorted(used)),
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


def _profile(path: Path, name: str, physical_name: str, raw: pa.Array) -> Profile:
    if pa.types.is_string(raw.type):
        texts = pc.utf8_trim_whitespace(raw)
        missing = pc.is_in(texts, value_set=pa.array(["", *_STAND_INS]))
        cleaned = pc.if_else(missing, pa.scalar(None, pa.string()), texts)
        kind, why = _type_of_texts(cleaned)
    else:
        cleaned = raw
        kind = next(kind for is_kind, kind in _NATIVE if is_kind(raw.type))
        why = f"the file's own type is {raw.type}"
    try:
        return Profile(
            name=name,
            physical_name=physical_name,
            logical_type=kind,
            why=why,
            texts=cast_values(cleaned, pa.string()),
            values=cast_values(cleaned, ARROW_TYPES[kind]),
        )
    except pa.ArrowException as error:
        raise InputError(
            f"{path}: column `{physical_name}` ({raw.type}) has values that do not fit the type "
            f"{kind}, {ARROW_TYPES[kind]}; mend them, or leave the column out of the file"
        ) from error


def _type_of_texts(texts: pa.Array) -> tuple[LogicalType, str]:
    """Tries the contract's types, the narrowest first, as the lake would read them."""
    if texts.null_count == len(texts):
        return "string", "no row has a value, so nothing is known"
    if pc.any(pc.match_substring_regex(texts, _CODE)).as_py():
        return "string", "some values are digits that no number keeps, such as leading zeros"
    for kind in _TEXT_TYPES:
        try:
            cast_values(texts, ARROW_TYPES[kind])
        except pa.ArrowException:
            continue
        return kind, f"every value is a {_SAYS[kind]}"
    if pc.all(pc.match_substring_regex(texts, _OTHER_DATE)).as_py():
        return "string", "its dates are not written as 2025-12-31; do so to make it a date"
    return "string", "its values are texts"
