r"""The text format of a column, if it differs from the default.

The default is a decimal point, no thousands separator, and ISO 8601. A contract sets another format
by `ingest` (`decimal`, `thousands`) and, for dates and times, by ODCS's
`logicalTypeOptions.format`, a pattern of the JDK's DateTimeFormatter:
https://docs.oracle.com/javase/8/docs/api/java/time/format/DateTimeFormatter.html

A form consists of regular expressions that RE2 (Arrow, local runs) and Java (Spark, Glue) interpret
alike: ASCII digits, and `\z` for the end, since Java's `$` also matches before a final line break.
"""

import re
from collections.abc import Mapping
from types import MappingProxyType

from sashiko.contract.glue_job.spec import TextForm
from sashiko.contract.model import Column, Ingest

# A pattern's letters -> their regular expression, and their field in ISO 8601.
_FIELDS: Mapping[str, tuple[str, str]] = {
    "yyyy": (r"(\d{4})", "year"), "yy": (r"(\d{2})", "year"), "MM": (r"(\d{2})", "month"),
    "M": (r"(\d{1,2})", "month"), "dd": (r"(\d{2})", "day"), "d": (r"(\d{1,2})", "day"),
    "HH": (r"(\d{2})", "hour"), "H": (r"(\d{1,2})", "hour"), "mm": (r"(\d{2})", "minute"),
    "ss": (r"(\d{2})", "second"),
}  # fmt: skip
_TOKEN = re.compile(r"'T'|([A-Za-z])\1*|[^A-Za-z]")
_BETWEEN = (".", "/", "-", " ", ":", ",", "'T'")
_DAY = ("year", "month", "day")
_TIME = ("hour", "minute", "second")
# Variants of the blank and of the apostrophe as thousands separators.
_THOUSANDS = MappingProxyType({" ": "[ \u00a0\u202f]", "'": "['\u2019]"})
_NO_NUMBER = r"[+-]?(?:nan|inf|infinity)"


def column_form(column: Column, ingest: Ingest) -> TextForm | None:
    """Returns the text form of a column; None for the default.

    Raises:
        ValueError: as `date_form`.
    """
    if column.logical_type in ("date", "timestamp"):
        return date_form(column.options.format) if column.options.format else None
    if column.logical_type not in ("integer", "number"):
        return None
    return number_form(
        decimal=ingest.decimal, thousands=ingest.thousands, whole=column.logical_type == "integer"
    )


def number_form(*, decimal: str, thousands: str, whole: bool) -> TextForm | None:
    """Returns the text form of numbers; None for the default.

    `decimal` is `.` or `,`; `thousands` the optional separator, empty for none; `whole` numbers
    have no decimals.
    """
    if (decimal, thousands) == (".", ""):
        return None
    replacements = [(_between(thousands), "")] if thousands else []
    if decimal != ".":
        replacements.append((re.escape(decimal), "."))
    pattern = number_pattern(decimal=decimal, thousands=thousands, whole=whole)
    return TextForm(pattern=pattern, replacements=tuple(replacements))


def number_pattern(*, decimal: str, thousands: str, whole: bool) -> str:
    """Returns the regular expression of a number; see `number_form`."""
    with_groups = rf"[1-9]\d{{0,2}}(?:{_between(thousands)}\d{{3}})+"
    digits = rf"(?:\d+|{with_groups})" if thousands else r"\d+"
    if whole:
        return rf"^[+-]?{digits}\z"
    separator = re.escape(decimal)
    decimals = rf"(?:{digits}(?:{separator}\d*)?|{separator}\d+)(?:e[+-]?\d+)?"
    return rf"(?i)^(?:[+-]?{decimals}|{_NO_NUMBER})\z"


def _between(thousands: str) -> str:
    return _THOUSANDS.get(thousands, re.escape(thousands))


def date_form(pattern: str) -> TextForm:
    """Returns the text form of dates or times.

    Args:
        pattern: of DateTimeFormatter, from `yyyy` or `yy` (2000 to 2099, as there), `MM` or `M`,
            `dd` or `d`, and for times `HH` or `H`, `mm` and `ss`, with `. / - : ,`, a blank or
            `'T'` between them.

    Raises:
        ValueError: if it has another letter, lacks a part of the day, or repeats a part.
    """
    places: dict[str, str] = {}
    matched, short_year = "", False
    for token in (match[0] for match in _TOKEN.finditer(pattern)):
        if token in _FIELDS:
            expression, field = _FIELDS[token]
            if field in places:
                raise ValueError(f"{pattern!r} names the {field} twice")
            places[field] = f"\\{len(places) + 1}"
            short_year = short_year or token == "yy"  # noqa: S105 - two letters of a date
            matched += expression
        elif token in _BETWEEN:
            matched += "T" if token == "'T'" else re.escape(token)  # noqa: S105 - as above
        else:
            raise ValueError(
                f"{pattern!r}: `{token}` is not supported; use {', '.join(_FIELDS)} with "
                "`.`, `/`, `-`, `:`, `,`, a blank or 'T' between them"
            )
    times = [field for field in _TIME if field in places]
    if not all(field in places for field in _DAY) or times not in ([], [*_TIME[:2]], [*_TIME]):
        raise ValueError(
            f"{pattern!r}: expected year, month and day, such as dd.MM.yyyy, and for a time hour "
            "and minute as well, such as dd.MM.yyyy HH:mm"
        )
    if short_year:
        places["year"] = f"20{places['year']}"
    iso = "-".join(places[field] for field in _DAY)
    if times:
        iso += " " + ":".join(places[field] for field in times)
    whole = rf"^{matched}\z"
    return TextForm(pattern=whole, replacements=((whole, iso), (r"\b(\d)\b", r"0\1")))
