"""Detects the contract's types of a file's columns of text, and their forms."""

from collections.abc import Mapping

import pyarrow as pa

from sashiko.contract.columns import LogicalType
from sashiko.contract.derive import ARROW_TYPES
from sashiko.contract.text_form import number_form
from sashiko.data.draft.csv_format import FormatOptions
from sashiko.data.draft.dates import date_types, invalid_date
from sashiko.data.draft.numbers import NUMBER_LIKE, NumberMarks, is_ambiguous, number_marks
from sashiko.data.draft.records import ColumnType
from sashiko.data.values import all_match, any_match, can_cast

_DESCRIPTIONS: Mapping[LogicalType, str] = {
    "integer": "whole number", "number": "number", "boolean": "true or false",
    "date": "date such as 2025-12-31", "timestamp": "date with a time",
}  # fmt: skip
# Digits that are a name: 007, or more of them than a whole number can have.
_CODE = r"^[+-]?0\d+\z|^[+-]?\d{16,}\z"
_NO_NUMBERS = (
    "its values are digits and marks, but not numbers by the marks of the file's other columns; "
    "write all numbers alike"
)
_MARKS = r"[.,' \x{00a0}\x{202f}]"


def text_types(
    columns: Mapping[str, pa.Array], *, delimiter: str, options: FormatOptions
) -> tuple[dict[str, ColumnType], NumberMarks]:
    """Returns name -> type, the narrowest of all values; and the marks of the file's numbers.

    `columns` are cleaned texts, null for a missing value.

    Raises:
        InputError: as `date_types`.
    """
    filled = {name: texts for name, texts in columns.items() if texts.null_count < len(texts)}
    marks = number_marks([*filled.values()], delimiter=delimiter, decimal=options.decimal)
    not_iso = {n: texts for n, texts in filled.items() if not can_cast(texts, ARROW_TYPES["date"])}
    dates = date_types(not_iso, order_option=options.date_order, decimal_comma=marks.decimal == ",")
    empty = ColumnType(kind="string", why="no row has a value, so its type is unknown")
    types = {
        name: dates.get(name) or (_type(texts, marks) if name in filled else empty)
        for name, texts in columns.items()
    }
    return types, marks


def _type(texts: pa.Array, marks: NumberMarks) -> ColumnType:
    if any_match(texts, _CODE):
        why = "some values are digits that a number would not keep, such as leading zeros"
        return ColumnType(kind="string", why=why)
    for kind in ("integer", "number", "boolean", "date", "timestamp"):
        form = None
        if kind in ("integer", "number"):
            form = number_form(
                decimal=marks.decimal, thousands=marks.thousands, whole=kind == "integer"
            )
        if can_cast(texts, ARROW_TYPES[kind], form=form):
            return ColumnType(kind=kind, why=_why(texts, kind, marks), form=form)
    warning = invalid_date(texts) or (_NO_NUMBERS if all_match(texts, NUMBER_LIKE) else "")
    return ColumnType(kind="string", why=warning or "its values are texts", warning=warning)


def _why(texts: pa.Array, kind: LogicalType, marks: NumberMarks) -> str:
    why = f"every value is a {_DESCRIPTIONS[kind]}"
    if kind not in ("integer", "number"):
        return why
    if marks.ambiguity and is_ambiguous(texts):
        return f"{why}; {marks.ambiguity}"
    if (marks.decimal, marks.thousands) != (".", "") and any_match(texts, _MARKS):
        between = f", `{marks.thousands}` between thousands" if marks.thousands else ""
        return f"{why}, read with `{marks.decimal}` before decimals{between}"
    return why
