"""The contract's types of a file's columns of text, and how each is written."""

from collections.abc import Mapping
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from sashiko.aws.glue_job.spec import TextForm
from sashiko.contract.columns import LogicalType
from sashiko.contract.derive import ARROW_TYPES
from sashiko.contract.text_form import date_form, number_form
from sashiko.data.draft.csv_format import Stated
from sashiko.data.draft.dates import DateFormat, date_formats, misfit_dates
from sashiko.data.draft.numbers import NumberMarks, is_either, is_numberish, number_marks
from sashiko.data.values import cast_values

_SAYS: Mapping[LogicalType, str] = {
    "integer": "whole number", "number": "number", "boolean": "true or false",
    "date": "date such as 2025-12-31", "timestamp": "date with a time",
}  # fmt: skip
# Digits that are a name: 007, or more of them than a whole number holds.
_CODE = r"^[+-]?0\d+\z|^[+-]?\d{16,}\z"
_NO_NUMBERS = (
    "its values are of digits and marks, and no numbers by the marks of the file's other columns; "
    "write all numbers alike"
)
_MARKED = r"[.,' \x{00a0}\x{202f}]"


@dataclass(frozen=True, kw_only=True)
class TextType:
    """A column of text as the lake will have it.

    Attributes:
        kind: the contract's type that every value has.
        why: what that was seen from.
        form: how its values are written; None for the lake's own way.
        date_format: the same of dates, for the contract; empty for ISO 8601 and for what is none.
        warning: what keeps it from being the date or number that it nearly is; else empty.
    """

    kind: LogicalType
    why: str
    form: TextForm | None = None
    date_format: str = ""
    warning: str = ""


def text_types(
    columns: Mapping[str, pa.Array], *, delimiter: str, stated: Stated
) -> tuple[dict[str, TextType], NumberMarks]:
    """Finds the type of each column, the narrowest that every value has.

    Args:
        columns: name -> its texts, cleaned; null where one is missing.
        delimiter: of the file.
        stated: what a person says of the file.

    Returns:
        Name -> its type; and how the file's numbers are written.

    Raises:
        InputError: as `date_formats`.
    """
    filled = {name: texts for name, texts in columns.items() if texts.null_count < len(texts)}
    marks = number_marks([*filled.values()], delimiter=delimiter, decimal=stated.decimal)
    others = {name: texts for name, texts in filled.items() if not _is(texts, "date", None)}
    dates = date_formats(others, stated=stated.date_order, decimal_comma=marks.decimal == ",")
    nothing = TextType(kind="string", why="no row has a value, so nothing is known")
    types = {
        name: _type(texts, marks, dates.get(name)) if name in filled else nothing
        for name, texts in columns.items()
    }
    return types, marks


def _type(texts: pa.Array, marks: NumberMarks, dated: DateFormat | None) -> TextType:
    if dated is not None:
        why = f"every value is a date, read as {dated.pattern}: {dated.why}"
        return TextType(
            kind=dated.kind,
            why=why,
            form=date_form(dated.pattern),
            date_format=dated.pattern,
        )
    if pc.any(pc.match_substring_regex(texts, _CODE)).as_py():
        return TextType(
            kind="string", why="some values are digits that no number keeps, such as leading zeros"
        )
    for kind in ("integer", "number", "boolean", "date", "timestamp"):
        form = None
        if kind in ("integer", "number"):
            form = number_form(
                decimal=marks.decimal, thousands=marks.thousands, whole=kind == "integer"
            )
        if _is(texts, kind, form):
            return TextType(kind=kind, why=_why(texts, kind, marks), form=form)
    warning = misfit_dates(texts) or (_NO_NUMBERS if is_numberish(texts) else "")
    return TextType(kind="string", why=warning or "its values are texts", warning=warning)


def _is(texts: pa.Array, kind: LogicalType, form: TextForm | None) -> bool:
    try:
        cast_values(texts, ARROW_TYPES[kind], form=form)
    except pa.ArrowException:
        return False
    return True


def _why(texts: pa.Array, kind: LogicalType, marks: NumberMarks) -> str:
    why = f"every value is a {_SAYS[kind]}"
    if kind not in ("integer", "number"):
        return why
    if marks.unsure and is_either(texts):
        return f"{why}; {marks.unsure}"
    if (marks.decimal, marks.thousands) != (".", "") and pc.any(
        pc.match_substring_regex(texts, _MARKED)
    ).as_py():
        between = f", `{marks.thousands}` between thousands" if marks.thousands else ""
        return f"{why}, read with `{marks.decimal}` before decimals{between}"
    return why
