"""Drafts the contract's columns: type, classification, missing values, allowed values, range."""

import math
from collections.abc import Sequence

import pyarrow.compute as pc

from sashiko.contract.columns import Classification
from sashiko.data.draft.naming import classify_name
from sashiko.data.draft.personal import describe_personal
from sashiko.data.draft.profile import Profile, RawTable
from sashiko.data.draft.records import ColumnDraft
from sashiko.data.values import any_match

_MOST_ALLOWED = 30  # values that are worth a list
_ROWS_A_VALUE = 10  # with fewer rows to each, later data probably has other values
_EMAIL = r"^[^@\s]+@[^@\s]+\.[^@\s]+$"
Classes = dict[str, tuple[Classification, str]]


def classify(raw: RawTable, *, target: Profile, facets: Sequence[Profile]) -> Classes:
    """Returns column -> a guess of its classification, and the reason."""
    classes: Classes = {}
    for column in raw.columns:
        classes[column.name] = classify_name(column.physical_name)
        if column.is_prose and classes[column.name][0] == "none":
            why = "sentences may name people"
            if counts := describe_personal(column.texts):
                why = f"of the texts {counts}"
            why += ": read some, and call it pii if so, or remove this at the source"
            classes[column.name] = ("none", why)
        if column is target:
            classes[column.name] = ("none", "the label, which a model is trained on")
        elif column in facets:
            classes[column.name] = ("sensitive", "a facet: for judging bias only")
        elif any_match(column.texts, _EMAIL):
            classes[column.name] = ("pii", "some values are e-mail addresses, so no step reads it")
    return classes


def row_number_draft(name: str) -> ColumnDraft:
    """Drafts the key of a file without one: the row's position."""
    return ColumnDraft(
        name=name,
        physical_name=name,
        logical_type="integer",
        type_why="the row's position in the file, from 0",
        classification="none",
        class_why="it says nothing about anybody",
        key_why="no column that every role may read is unique; keep the order of the rows",
        minimum=0,
    )


def column_draft(
    column: Profile, *, classification: tuple[Classification, str], key: bool, category: bool
) -> ColumnDraft:
    """Drafts a column of the file, without the values of a personal one.

    Args:
        column: its profile.
        classification: and the reason.
        key: whether it is the primary key.
        category: whether it is label or facet, whose values are texts and all listed.
    """
    kind = "string" if category else column.logical_type
    why = "label and facets are compared as texts" if category else column.why
    public = classification[0] != "pii"
    allowed = _allowed(column, every=category) if kind == "string" and public else ()
    if kind == "string" and column.distinct and not allowed and not key:
        why += f"; {column.distinct:,} different ones, which are not listed"
    low, high = _range(column) if public and not category else (None, None)
    return ColumnDraft(
        name=column.name,
        physical_name=column.physical_name,
        logical_type=kind,
        type_why=why,
        classification=classification[0],
        class_why=classification[1],
        key_why="no two rows have the same value, and none is missing" if key else "",
        missing_percent=math.ceil(100 * column.missing / len(column.texts)),
        allowed=allowed,
        minimum=low,
        maximum=high,
        date_format=column.date_format,
    )


def _allowed(column: Profile, *, every: bool) -> tuple[str, ...]:
    few = column.distinct <= min(_MOST_ALLOWED, len(column.texts) // _ROWS_A_VALUE)
    if not every and not few:
        return ()
    return tuple(sorted(pc.unique(column.texts.drop_null()).to_pylist()))


def _range(column: Profile) -> tuple[int | float | str | None, int | float | str | None]:
    """Returns the smallest and the largest value; for dates only the smallest."""
    if column.logical_type not in ("integer", "number", "date", "timestamp") or not column.distinct:
        return None, None
    ends = pc.min_max(column.values).as_py()
    if column.logical_type in ("date", "timestamp"):
        return f"{ends['min']:%Y-%m-%d}", None
    if not math.isfinite(ends["min"]) or not math.isfinite(ends["max"]):
        return None, None
    return ends["min"], ends["max"]
