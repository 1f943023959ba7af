"""The records of a draft, and the profile of a raw file: its columns' names, types and values."""

import datetime as dt
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pyarrow as pa
import pyarrow.compute as pc

from sashiko.contract.derive import ARROW_TYPES
from sashiko.contract.glue_job.spec import TextForm
from sashiko.contract.model import Classification, LogicalType
from sashiko.contract.text_form import date_form, number_form
from sashiko.data import values as casts
from sashiko.data.draft import csv_format as formats
from sashiko.data.draft.csv_format import CsvFormat, NumberMarks
from sashiko.data.draft.naming import lake_names
from sashiko.data.ingest import raw_batches
from sashiko.errors import InputError


@dataclass(frozen=True, kw_only=True)
class ColumnType:
    """The type of a raw column."""

    kind: LogicalType  # of every value
    why: str
    form: TextForm | None = None  # how its values are written; None for the lake's default
    date_format: str = ""  # the same of dates, for the contract; empty for ISO 8601 and others
    warning: str = ""  # why it is text although it is almost all dates or numbers


@dataclass(frozen=True)
class ColumnDraft:
    """A column of the contract."""

    name: str  # in the lake
    physical_name: str  # in the file
    logical_type: LogicalType
    type_why: str
    classification: Classification
    class_why: str
    key_why: str = ""  # of the primary key; empty for other columns
    missing_percent: int = 0  # of the rows, rounded up
    allowed: tuple[str, ...] = ()  # all values; empty if they are not listed
    minimum: int | float | str | None = None
    maximum: int | float | str | None = None  # None for dates, as later ones will come
    date_format: str = ""  # empty for ISO 8601 and for other types


@dataclass(frozen=True)
class LabelDraft:
    """The label's column and classes; of a number its two outcomes."""

    column: str
    classes: tuple[str, ...]  # sorted
    favourable: tuple[str, ...]  # those that are taken to be a good outcome for a person
    why: str
    above: int | float | None = None  # of a number, the bound of the favourable outcome


@dataclass(frozen=True)
class FacetDraft:
    """A facet, and the group with the smallest share of positive labels."""

    column: str
    disadvantaged: str
    why: str


@dataclass(frozen=True)
class SplitDraft:
    """The split of the rows: by time if there is a column, else by a hash of the text."""

    why: str
    column: str = ""
    validation_from: dt.date | None = None
    test_from: dt.date | None = None


@dataclass(frozen=True)
class TextDraft:
    """The model's input."""

    columns: tuple[str, ...]  # allowed in a template
    template: str
    tokens: int  # longest compiled sequence: an estimate that 95 of 100 texts fit in
    foreign_percent: int  # of the rows, whose texts have letters that English does not have
    leaks: tuple[str, ...]  # columns left out, as each tells the label apart alone


@dataclass(frozen=True)
class Repeats:
    """Rows that are equal to an earlier one."""

    rows: int
    examples: tuple[int, ...]  # the first of them, from 1
    excluded: tuple[str, ...] = ()  # key columns, in which they differ


@dataclass(frozen=True)
class Draft:
    """A contract and a recipe, before they are written."""

    name: str  # of the recipe, and of the files
    table: str
    file: str  # the data file's own name
    source: str  # the data file, as the recipe names it
    rows: int
    columns: tuple[ColumnDraft, ...]  # in the order of the file
    label: LabelDraft
    facets: tuple[FacetDraft, ...]
    groups: tuple[str, ...]  # sensitive columns, if there are no facets
    split: SplitDraft
    text: TextDraft
    row_number: str  # the key of a file without one; else empty
    trim: bool  # blanks around values are cut
    null_values: tuple[str, ...]  # texts that stand for a missing value
    csv: CsvFormat
    marks: NumberMarks
    repeats: Repeats
    notes: tuple[str, ...]  # for the user, before reading the files

    @property
    def has_own_format(self) -> bool:
        """Whether the file's format differs from a contract's defaults."""
        marks = (self.marks.decimal, self.marks.thousands)
        return (self.csv.delimiter, self.csv.encoding, *marks) != (",", "utf-8", ".", "")


Order = Literal["dmy", "mdy"]
_SHAPE = re.compile(
    r"(\d{1,4})([./-])(\d{1,2})\2(\d{1,4})(?:([ T])\d{1,2}:\d{2}(:\d{2})?)?", re.ASCII
)
_DATE_LIKE = r"^\d{1,4}[./-]\d{1,2}[./-]\d{1,4}(?:[ T]|\z)"
_COMPACT = r"^(?:19|20)\d{6}\z"
_MOSTLY = 0.9
_WIDTHS = (("dd", "MM", "HH"), ("dd", "MM", "H"), ("d", "M", "HH"), ("d", "M", "H"))
_ORDERS: Mapping[str, str] = {
    "dmy": "the day first", "mdy": "the month first", "ymd": "the year first",
}  # fmt: skip
_DESCRIPTIONS: Mapping[LogicalType, str] = {
    "integer": "whole number", "number": "number", "boolean": "true or false",
    "date": "date such as 2025-12-31", "timestamp": "date with a time",
}  # fmt: skip
# Digits that are a name: 007, or more of them than a whole number can have.
_CODE = r"^[+-]?0\d+\z|^[+-]?\d{16,}\z"
_NO_NUMBERS = (
    "its values look like numbers, but in another notation than the file's other columns; write "
    "all numbers alike"
)
_MARKS = r"[.,' \x{00a0}\x{202f}]"
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


def _date_types(
    columns: Mapping[str, pa.Array], *, order_option: Order | None, decimal_comma: bool
) -> dict[str, ColumnType]:
    """Returns the types of the columns of dates other than ISO 8601, of name -> cleaned texts.

    If a column's values fit both orders of day and month, the first of these decides: the user's
    option; points, which only day-first dates have; the file's other columns; a decimal comma,
    whose users write the day first.

    Raises:
        InputError: if none of them decides, with the option that does.
    """
    patterns = {name: _matching_patterns(texts) for name, texts in columns.items()}
    certain = {next(iter(orders)) for orders in patterns.values() if len(orders) == 1} - {"ymd"}
    types = {}
    for name, orders in patterns.items():
        if not orders:
            continue
        order, why = next(iter(orders)), ""
        if len(orders) == 1:
            if order != "ymd":
                why = ", as any other order would give dates that do not exist"
        elif order_option is not None:
            order, why = order_option, ", as --date-order says"
        elif "." in orders["dmy"]:
            order, why = "dmy", ", as its points say; else start again with --date-order mdy"
        elif len(certain) == 1:
            order, other = ("dmy", "mdy") if "dmy" in certain else ("mdy", "dmy")
            why = f", as in the file's other dates; else --date-order {other}"
        elif decimal_comma:
            order = "dmy"
            why = ", as the file has a decimal comma; else start again with --date-order mdy"
        else:
            raise InputError(
                f"column `{name}`: its dates can be read as {orders['dmy']} and as "
                f"{orders['mdy']}, and nothing in the file decides; add --date-order dmy or "
                "--date-order mdy"
            )
        pattern = orders[order]
        if "yyyy" not in pattern:
            why += "; two-digit years are 2000 to 2099"
        types[name] = ColumnType(
            kind="timestamp" if ":" in pattern else "date",
            why=f"every value is a date, read as {pattern}: {_ORDERS[order]}{why}",
            form=date_form(pattern),
            date_format=pattern,
        )
    return types


def _invalid_date(texts: pa.Array) -> str:
    """Describes the first value that keeps a column of dates from being one; else empty."""
    import duckdb

    filled = texts.drop_null()
    date_like = pc.fill_null(pc.match_substring_regex(texts, _DATE_LIKE), False)
    if not len(filled) or pc.sum(date_like).as_py() < _MOSTLY * len(filled):
        return ""
    invalid = {}
    with duckdb.connect() as connection:
        for _, pattern in _patterns(filled[0].as_py()):
            iso = casts.default_form(texts, date_form(pattern))
            connection.register("dates", pa.table({"iso": iso}))
            invalid[pattern] = connection.sql(
                "SELECT iso IS NOT NULL AND try_cast(iso AS TIMESTAMP) IS NULL AS bad FROM dates"
            ).to_arrow_table()["bad"]
    counts = {pattern: pc.sum(rows).as_py() for pattern, rows in invalid.items()}
    pattern = min(counts, key=lambda pattern: counts[pattern], default="")
    if not pattern or not counts[pattern]:
        return "its values look like dates; write them as 2025-12-31 to make it a date"
    row = pc.index(invalid[pattern], True).as_py() + 1
    return (
        f"most of its values are dates such as {pattern}, but row {row:,} is not one; "
        "correct it to make the column a date"
    )


def _matching_patterns(texts: pa.Array) -> dict[str, str]:
    """Returns the orders in which every value is a date -> the narrowest pattern."""
    filled = texts.drop_null()
    if not len(filled):
        return {}
    patterns = _patterns(filled[0].as_py())
    if casts.all_match(filled, _COMPACT):
        patterns = iter([("ymd", "yyyyMMdd")])
    matches: dict[str, str] = {}
    time = ARROW_TYPES["timestamp"]
    for order, pattern in patterns:
        if order not in matches and casts.can_cast(filled, time, form=date_form(pattern)):
            matches[order] = pattern
    return matches


def _patterns(value: str) -> Iterator[tuple[str, str]]:
    """Yields order and pattern of each way to read a value, the narrower patterns first."""
    shape = _SHAPE.fullmatch(value)
    if shape is None:
        return
    first, mark, _, last, blank, seconds = shape.groups()
    for day, month, hour in _WIDTHS:
        time = ""
        if blank:
            time = ("'T'" if blank == "T" else " ") + f"{hour}:mm" + (":ss" if seconds else "")
        elif hour == "H":
            continue
        if len(first) == 4:
            yield "ymd", mark.join(("yyyy", month, day)) + time
        elif len(last) in (2, 4):
            year = "yy" if len(last) == 2 else "yyyy"
            yield "dmy", mark.join((day, month, year)) + time
            yield "mdy", mark.join((month, day, year)) + time


def _type(texts: pa.Array, marks: formats.NumberMarks) -> ColumnType:
    if casts.any_match(texts, _CODE):
        why = "some values are digits that a number would not keep, such as leading zeros"
        return ColumnType(kind="string", why=why)
    point, between = marks.decimal, marks.thousands
    for kind in _DESCRIPTIONS:
        form, why = None, f"every value is a {_DESCRIPTIONS[kind]}"
        if kind in ("integer", "number"):
            form = number_form(decimal=point, thousands=between, whole=kind == "integer")
            if marks.ambiguity and formats.is_ambiguous(texts):
                why += f"; {marks.ambiguity}"
            elif (point, between) != (".", "") and casts.any_match(texts, _MARKS):
                why += f", read with `{point}` before decimals"
                why += f", `{between}` between thousands" if between else ""
        if casts.can_cast(texts, ARROW_TYPES[kind], form=form):
            return ColumnType(kind=kind, why=why, form=form)
    warning = _invalid_date(texts) or (
        _NO_NUMBERS if casts.all_match(texts, formats.NUMBER_LIKE) else ""
    )
    return ColumnType(kind="string", why=warning or "its values are texts", warning=warning)


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
    csv: formats.CsvFormat
    marks: formats.NumberMarks


def read_raw(path: Path, options: formats.FormatOptions) -> RawTable:
    """Reads and profiles a CSV or Parquet file.

    Raises:
        InputError: if the file cannot be read (see `raw_batches`), its format cannot be detected,
            nothing decides on the order of its dates, or a column has no name or a type that
            contracts do not have.
    """
    csv = formats.csv_format(path, options)
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
    missing = ("", *_NULL_VALUES)
    cleaned = {name: casts.missing_to_null(column, missing) for name, column in trimmed.items()}

    filled = {name: column for name, column in cleaned.items() if len(column.drop_null())}
    marks = formats.number_marks(
        [*filled.values()], delimiter=csv.delimiter, decimal=options.decimal
    )
    day = ARROW_TYPES["date"]
    not_iso = {name: column for name, column in filled.items() if not casts.can_cast(column, day)}
    comma = marks.decimal == ","
    types = _date_types(not_iso, order_option=options.date_order, decimal_comma=comma)
    for name, column in cleaned.items():
        if name not in filled:
            why = "no row has a value, so its type is unknown"
            types[name] = ColumnType(kind="string", why=why)
        elif name not in types:
            types[name] = _type(column, marks)
    for name, column_type in types.items():
        kind = column_type.kind
        if kind == "string" or _YEAR.fullmatch(name):
            continue
        if casts.can_cast(pa.array([name]), ARROW_TYPES[kind], form=column_type.form):
            raise InputError(
                f"{path}: the first line seems to be a row and not the header: `{name}` stands "
                f"above a column of type {kind}; write the columns' names into the first line"
            )
    return RawTable(
        columns=tuple(
            _profile(path, name, place, cleaned.get(place, raw[place]), types.get(place))
            for name, place in zip(lake_names(table.column_names), raw, strict=True)
        ),
        numbered=numbered,
        trim=any(not texts[name].equals(trimmed[name]) for name in texts),
        null_values=tuple(
            text for text in sorted(_NULL_VALUES)
            if any(pc.index(column, text).as_py() >= 0 for column in trimmed.values())
        ),
        csv=csv,
        marks=marks,
    )  # fmt: skip


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
        f"{path}: column `{name}` has type {kind}, which contracts do not support; write it as "
        "text, number or date, or leave it out of the file"
    )


def _profile(
    path: Path, name: str, physical_name: str, raw: pa.Array, column_type: ColumnType | None
) -> Profile:
    if column_type is None:
        kind = next(kind for is_kind, kind in _NATIVE if is_kind(raw.type))
        column_type = ColumnType(kind=kind, why=f"the file's own type is {raw.type}")
    kind = column_type.kind
    try:
        return Profile(
            name=name,
            physical_name=physical_name,
            logical_type=kind,
            why=column_type.why,
            texts=casts.cast_values(raw, pa.string()),
            values=casts.cast_values(raw, ARROW_TYPES[kind], form=column_type.form),
            date_format=column_type.date_format,
            warning=column_type.warning,
        )
    except pa.ArrowException as error:
        raise InputError(
            f"{path}: column `{physical_name}` ({raw.type}) has values that do not fit the type "
            f"{kind}, {ARROW_TYPES[kind]}; correct them, or leave the column out of the file"
        ) from error
