"""How a file writes its dates, where not as ISO 8601: a format for each column of them."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

import pyarrow as pa
import pyarrow.compute as pc

from sashiko.contract.derive import ARROW_TYPES
from sashiko.contract.text_form import date_form
from sashiko.data.values import cast_values
from sashiko.errors import InputError

Order = Literal["dmy", "mdy"]
_SHAPE = re.compile(
    r"(\d{1,4})([./-])(\d{1,2})\2(\d{1,4})(?:([ T])\d{1,2}:\d{2}(:\d{2})?)?", re.ASCII
)
_LOOKS = r"^\d{1,4}[./-]\d{1,2}[./-]\d{1,4}(?:[ T]|\z)"
_COMPACT = r"^(?:19|20)\d{6}\z"
_MOSTLY = 0.9
_WIDTHS = (("dd", "MM", "HH"), ("dd", "MM", "H"), ("d", "M", "HH"), ("d", "M", "H"))
_OTHER: Mapping[Order, Order] = {"dmy": "mdy", "mdy": "dmy"}
_SAYS: Mapping[str, str] = {
    "dmy": "the day first", "mdy": "the month first", "ymd": "the year first",
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class DateFormat:
    """How a column's dates are written.

    Attributes:
        pattern: of the JDK's DateTimeFormatter.
        kind: the contract's type.
        why: why so, where it could be otherwise.
    """

    pattern: str
    kind: Literal["date", "timestamp"]
    why: str


def date_formats(
    columns: Mapping[str, pa.Array], *, stated: Order | None, decimal_comma: bool
) -> dict[str, DateFormat]:
    """Finds the columns of dates that are not written as ISO 8601.

    Where a column's own values do not tell day and month apart, this decides, in this order: what
    a person says; points, which stand between day, month and year alone; the file's other columns;
    a decimal comma, as those who write one put the day first.

    Args:
        columns: the file's texts, cleaned; null where one is missing.
        stated: the order, where a person says it.
        decimal_comma: the file writes one.

    Raises:
        InputError: if nothing tells, with the option that does.
    """
    fits = {name: _fitting(texts) for name, texts in columns.items()}
    sure = {orders[0] for found in fits.values() if len(orders := [*found]) == 1} - {"ymd"}
    made = {}
    for name, found in fits.items():
        if not found:
            continue
        order, why = next(iter(found)), ""
        if len(found) > 1:
            order, why = _choice(name, found, stated, sure, decimal_comma=decimal_comma)
        elif order in _OTHER:
            why = ", as another order would give days that no calendar has"
        if "yyyy" not in found[order]:
            why += "; two-digit years are 2000 to 2099"
        kind: Literal["date", "timestamp"] = "timestamp" if ":" in found[order] else "date"
        made[name] = DateFormat(pattern=found[order], kind=kind, why=f"{_SAYS[order]}{why}")
    return made


def misfit_dates(texts: pa.Array) -> str:
    """Says why a column that looks like dates is none; empty where it does not."""
    filled = texts.drop_null()
    looks = pc.fill_null(pc.match_substring_regex(texts, _LOOKS), False)
    if not len(filled) or pc.sum(looks).as_py() < _MOSTLY * len(filled):
        return ""
    best: tuple[int, str, int] | None = None
    for pattern in dict.fromkeys(pattern for _, pattern in _patterns(filled[0].as_py())):
        bad = _bad(texts, pattern)
        wrong = pc.sum(bad).as_py()
        row = pc.index(bad, True).as_py() + 1 if wrong else _no_such_day(texts, pattern)
        if best is None or wrong < best[0]:
            best = (wrong, pattern, row)
    if best is None:
        return "its values look like dates; write them as 2025-12-31 to make it a date"
    return (
        f"most of its values are dates such as {best[1]}, but that of row {best[2]:,} is none; "
        "mend it to make it a date"
    )


def _fitting(texts: pa.Array) -> dict[str, str]:
    """Returns the orders in which every value is a date, each with the narrowest pattern."""
    filled = texts.drop_null()
    if not len(filled):
        return {}
    if pc.all(pc.match_substring_regex(filled, _COMPACT)).as_py():
        return {"ymd": "yyyyMMdd"} if _is_read(filled, "yyyyMMdd") else {}
    found: dict[str, str] = {}
    for order, pattern in _patterns(filled[0].as_py()):
        if order not in found and _is_read(filled, pattern):
            found[order] = pattern
    return found


def _patterns(value: str) -> Iterator[tuple[str, str]]:
    """Yields the patterns that a value may be written in, the narrower first."""
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


def _is_read(filled: pa.Array, pattern: str) -> bool:
    try:
        cast_values(filled, ARROW_TYPES["timestamp"], form=date_form(pattern))
    except pa.ArrowException:
        return False
    return True


def _bad(texts: pa.Array, pattern: str) -> pa.Array:
    """Marks the values that are not written so, or have a month, a day or a time beyond any."""
    form = date_form(pattern)
    iso = texts
    for old, new in form.replacements:
        iso = pc.replace_substring_regex(iso, old, new)
    time = (" %H:%M:%S" if "ss" in pattern else " %H:%M") if "mm" in pattern else ""
    read = pc.strptime(iso, format=f"%Y-%m-%d{time}", unit="s", error_is_null=True)
    good = pc.and_(pc.match_substring_regex(texts, form.pattern), pc.is_valid(read))
    return pc.and_(pc.is_valid(texts), pc.fill_null(pc.invert(good), False))


def _no_such_day(texts: pa.Array, pattern: str) -> int:
    """Returns the first row, from 1, whose day is in no calendar."""
    for index in range(len(texts)):
        if not _is_read(texts.slice(index, 1), pattern):
            return index + 1
    return 1


def _choice(
    name: str,
    found: Mapping[str, str],
    stated: Order | None,
    sure: set[str],
    *,
    decimal_comma: bool,
) -> tuple[Order, str]:
    if stated is not None:
        return stated, ", as --date-order says"
    if "." in found["dmy"]:
        return "dmy", ", as its points say; else start again with --date-order mdy"
    if len(sure) == 1:
        order: Order = "dmy" if "dmy" in sure else "mdy"
        return order, f", as in the file's other dates; else --date-order {_OTHER[order]}"
    if decimal_comma:
        return "dmy", ", as the file has a decimal comma; else start again with --date-order mdy"
    raise InputError(
        f"column `{name}`: its dates can be read as {found['dmy']} and as {found['mdy']}, and "
        "nothing in the file tells which; say --date-order dmy or --date-order mdy"
    )
