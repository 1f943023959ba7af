"""Formats a row as the text that the model reads, with the same code in training and serving."""

import json
import math
import string
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

_ROW = '{{"'  # how a template of rows begins


def columns(template: str) -> tuple[str, ...]:
    """Returns the columns that a template names, each once, in order of appearance.

    Args:
        template: text with `{column}` placeholders; `{{` and `}}` stand for braces.

    Raises:
        ValueError: if a brace is not closed, or a placeholder has no name, or has a format or a
            conversion (`{a:>9}`, `{a!r}`), which are not supported.
    """
    return tuple(dict.fromkeys(name for _, name in _pieces(template) if name is not None))


def row_template(names: Iterable[str]) -> str:
    """Returns the template that writes columns as a JSON object, such as `{"age": 39}`.

    A linear model reads columns, not sentences. A text of this template has their values as JSON,
    null where one is missing, so that numbers and categories come back as they were.
    """
    return "{{" + ", ".join(f'"{name}": {{{name}}}' for name in names) + "}}"


def assemble(template: str, row: Mapping[str, Any], missing: str) -> str:
    """Fills a template with a row's values.

    Args:
        template: text with `{column}` placeholders.
        row: column -> value; columns that the template does not name are ignored.
        missing: replaces a null value, if the template is not one of rows.

    Returns:
        The text. Braces inside values are plain characters.

    Raises:
        ValueError: if the template is malformed (see `columns`) or the row lacks a column.
    """
    return "".join(text for _, text in text_pieces(template, row, missing))


def text_pieces(
    template: str, row: Mapping[str, Any], missing: str
) -> Iterator[tuple[str | None, str]]:
    """Yields the (column, text) pieces that `assemble` joins; the template's own have no column.

    Raises:
        ValueError: as `assemble`.
    """
    rows = template.startswith(_ROW)
    for literal, name in _pieces(template):
        if literal:
            yield None, literal
        if name is None:
            continue
        if name not in row:
            raise ValueError(f"column `{name}` is missing; send null where it is not known")
        yield name, _as_json(row[name]) if rows else _as_text(row[name], missing)


def normalise(text: str) -> str:
    """Returns the form of a text that must not occur in two splits.

    It ignores Unicode compatibility forms, letter case and the amount of white space.
    """
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def _pieces(template: str) -> Iterator[tuple[str, str | None]]:
    """Yields (literal, column or None) pairs.

    `str.format` is not used, as its placeholders can access attributes of the values.
    """
    for literal, name, specification, conversion in string.Formatter().parse(template):
        if name is not None and (specification or conversion or not name.isidentifier()):
            raise ValueError(f"placeholder `{{{name}}}` must be a plain column name, as in {{age}}")
        yield literal, name


def _as_text(value: Any, missing: str) -> str:
    """Formats a value from Parquet and one from a JSON request in the same way.

    JSON does not distinguish 40.0 from 40, and has dates as ISO 8601 text.
    """
    if value is None or value != value:  # NaN is the one value that differs from itself  # noqa: PLR0124 - as NaN does
        return missing
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if hasattr(value, "isoformat"):
        return str(value.isoformat())
    return str(value)


def _as_json(value: Any) -> str:
    """Formats a value as JSON, equal ones alike: 40.0 as 40, dates and times as ISO 8601."""
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return "null"
    if isinstance(value, float) and not value.is_integer():
        return json.dumps(value)
    if isinstance(value, bool | int | float):
        return _as_text(value, "")
    return json.dumps(_as_text(value, ""), ensure_ascii=False)
