"""Detects the formats of dates that are not ISO 8601, column by column."""

import re
from collections.abc import Iterator, Mapping
from typing import Literal

import pyarrow as pa
import pyarrow.compute as pc

from sashiko.contract.derive import ARROW_TYPES
from sashiko.contract.text_form import date_form
from sashiko.data.draft.records import ColumnType
from sashiko.data.values import all_match, can_cast, default_form
from sashiko.errors import InputError

Order = Literal["dmy", "mdy"]
_SHAPE = re.compile(
    r"(\d{1,4})([./-])(\d{1,2})\2(\d{1,4})(?:([ T])\d{1,2}:\d{2}(:\d{2})?)?", re.ASCII
)
_DATE_LIKE = r"^\d{1,4}[./-]\d{1,2}[./-]\d{1,4}(?:[ T]|\z)"
_COMPACT = r"^(?:19|20)\d{6}\z"
_MOSTLY = 0.9
_WIDTHS = (("dd", "MM", "HH"), ("dd", "MM", "H"), ("d", "M", "HH"), ("d", "M", "H"))
_OTHER: Mapping[Order, Order] = {"dmy": "mdy", "mdy": "dmy"}
_ORDERS: Mapping[str, str] = {
    "dmy": "the day first", "mdy": "the month first", "ymd": "the year first",
}  # fmt: skip


def date_types(
    columns: Mapping[str, pa.Array], *, order_option: Order | None, decimal_comma: bool
) -> dict[str, ColumnType]:
    """Returns the types of the columns of dates other than ISO 8601.

    If a column's values fit both orders of day and month, the first of these decides: the user's
    option; points, which only day-first dates have; the file's other columns; a decimal comma,
    whose users write the day first.

    Args:
        columns: name -> cleaned texts; null for a missing value.
        order_option: the user's.
        decimal_comma: whether the file's numbers have one.

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
        if len(orders) > 1:
            order, why = _choose_order(
                name, orders, order_option, certain, decimal_comma=decimal_comma
            )
        elif order in _OTHER:
            why = ", as another order would give days that no calendar has"
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


def invalid_date(texts: pa.Array) -> str:
    """Describes the first value that keeps a column of dates from being one; else empty."""
    filled = texts.drop_null()
    date_like = pc.fill_null(pc.match_substring_regex(texts, _DATE_LIKE), False)
    if not len(filled) or pc.sum(date_like).as_py() < _MOSTLY * len(filled):
        return ""
    invalid = {pattern: _invalid(texts, pattern) for _, pattern in _patterns(filled[0].as_py())}
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
    if all_match(filled, _COMPACT):
        patterns = iter([("ymd", "yyyyMMdd")])
    matches: dict[str, str] = {}
    for order, pattern in patterns:
        if order not in matches and can_cast(
            filled, ARROW_TYPES["timestamp"], form=date_form(pattern)
        ):
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


def _invalid(texts: pa.Array, pattern: str) -> pa.Array:
    """Marks the values that are no date of a pattern."""
    import duckdb

    with duckdb.connect() as connection:
        connection.register("dates", pa.table({"iso": default_form(texts, date_form(pattern))}))
        return connection.sql(
            "SELECT iso IS NOT NULL AND try_cast(iso AS TIMESTAMP) IS NULL AS invalid FROM dates"
        ).to_arrow_table()["invalid"]


def _choose_order(
    name: str,
    patterns: Mapping[str, str],
    option: Order | None,
    certain: set[str],
    *,
    decimal_comma: bool,
) -> tuple[Order, str]:
    if option is not None:
        return option, ", as --date-order says"
    if "." in patterns["dmy"]:
        return "dmy", ", as its points say; else start again with --date-order mdy"
    if len(certain) == 1:
        order: Order = "dmy" if "dmy" in certain else "mdy"
        return order, f", as in the file's other dates; else --date-order {_OTHER[order]}"
    if decimal_comma:
        return "dmy", ", as the file has a decimal comma; else start again with --date-order mdy"
    raise InputError(
        f"column `{name}`: its dates can be read as {patterns['dmy']} and as {patterns['mdy']}, "
        "and nothing in the file decides; add --date-order dmy or --date-order mdy"
    )
