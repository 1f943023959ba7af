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
        guess = classify_name(column.physical_name)
        if column is target:
            guess = ("none", "the label, which a model is trained on")
        elif column in facets:
            guess = ("sensitive", "a facet: for judging bias only")
        elif any_match(column.texts, _EMAIL):
            guess = ("pii", "some values are e-mail addresses, so no step reads it")
        elif column.is_prose and guess[0] == "none":
            counts = describe_personal(column.texts)
            why = f"of the texts {counts}" if counts else "sentences may name people"
            why += ": read some, and call it pii if so, or remove this at the source"
            guess = ("none", why)
        classes[column.name] = guess
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
    kind, why = column.logical_type, column.why
    if category:
        kind, why = "string", "label and facets are compared as texts"
    public, rows = classification[0] != "pii", len(column.texts)
    allowed: Sequence[str] = ()
    few = column.distinct <= min(_MOST_ALLOWED, rows // _ROWS_A_VALUE)
    if kind == "string" and public and (category or few):
        allowed = sorted(pc.unique(column.texts.drop_null()).to_pylist())
    if kind == "string" and column.distinct and not allowed and not key:
        why += f"; {column.distinct:,} different ones, which are not listed"
    low: int | float | str | None = None
    high: int | float | None = None
    ordered = kind in ("integer", "number", "date", "timestamp")
    if ordered and public and column.distinct:
        ends = pc.min_max(column.values).as_py()
        if column.is_date:
            low = f"{ends['min']:%Y-%m-%d}"
        elif math.isfinite(ends["min"]) and math.isfinite(ends["max"]):
            low, high = ends["min"], ends["max"]
    return ColumnDraft(
        name=column.name,
        physical_name=column.physical_name,
        logical_type=kind,
        type_why=why,
        classification=classification[0],
        class_why=classification[1],
        key_why="no two rows have the same value, and none is missing" if key else "",
        missing_percent=math.ceil(100 * column.missing / rows),
        allowed=tuple(allowed),
        minimum=low,
        maximum=high,
        date_format=column.date_format,
    )
