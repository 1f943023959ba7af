"""What the contract will say of each column: type, classification, gaps, allowed values, range."""

import math
from collections.abc import Sequence

import pyarrow.compute as pc

from sashiko.contract.columns import Classification
from sashiko.data.draft.naming import smells_of
from sashiko.data.draft.profile import Profile, RawTable
from sashiko.data.draft.records import ColumnDraft

_MOST_ALLOWED = 30  # values that are worth a list
_ROWS_A_VALUE = 10  # with fewer rows to each, values not seen yet are likely
_EMAIL = r"^[^@\s]+@[^@\s]+\.[^@\s]+$"

Classes = dict[str, tuple[Classification, str]]


def classify(raw: RawTable, *, target: Profile, facets: Sequence[Profile]) -> Classes:
    """Guesses who may read each column.

    Args:
        raw: the file.
        target: the label.
        facets: the facets.

    Returns:
        Column -> its classification, and why.
    """
    named = {facet.name for facet in facets}
    classes: Classes = {}
    for column in raw.columns:
        classes[column.name] = smells_of(column.physical_name)
        if column.is_prose and classes[column.name][0] == "none":
            classes[column.name] = (
                "none",
                "sentences may name people: look, and call it pii if so",
            )
        if column is target:
            classes[column.name] = ("none", "the label is what is trained on")
        elif column.name in named:
            classes[column.name] = ("sensitive", "a facet: for judging bias only")
        elif pc.any(pc.match_substring_regex(column.texts, _EMAIL)).as_py():
            classes[column.name] = (
                "pii",
                "some values are e-mail addresses; no step reads it then",
            )
    return classes


def row_number_draft(name: str) -> ColumnDraft:
    """Describes the key of a file that has none: the row's position."""
    return ColumnDraft(
        name=name,
        physical_name=name,
        logical_type="integer",
        type_why="the row's position in the file, from 0",
        classification="none",
        class_why="it says nothing about anybody",
        key=True,
        key_why="no column that all may read tells rows apart; their order must, so keep it",
        minimum=0,
    )


def column_draft(
    column: Profile,
    *,
    rows: int,
    classified: tuple[Classification, str],
    key: bool,
    category: bool,
) -> ColumnDraft:
    """Describes a column of the file; no value of a personal one is repeated.

    Args:
        column: as it was found.
        rows: of the file.
        classified: its classification, and why.
        key: whether it is the primary key.
        category: whether it is label or facet, which are texts with listed values.
    """
    kind = "string" if category else column.logical_type
    why = "label and facets are compared as texts" if category else column.why
    public = classified[0] != "pii"
    allowed = _allowed(column, rows, every=category) if kind == "string" and public else ()
    if kind == "string" and column.distinct and not allowed and not key:
        why += f"; {column.distinct:,} different ones, which are not listed"
    low, high = _range(column) if public and not category else (None, None)
    return ColumnDraft(
        name=column.name,
        physical_name=column.physical_name,
        logical_type=kind,
        type_why=why,
        classification=classified[0],
        class_why=classified[1],
        key=key,
        key_why="no two rows have the same value, and none is missing" if key else "",
        missing_percent=math.ceil(100 * column.missing / rows),
        allowed=allowed,
        minimum=low,
        maximum=high,
        date_format=column.date_format,
    )


def _allowed(column: Profile, rows: int, *, every: bool) -> tuple[str, ...]:
    few = column.distinct <= min(_MOST_ALLOWED, rows // _ROWS_A_VALUE)
    if not every and not few:
        return ()
    return tuple(sorted(pc.unique(column.texts.drop_null()).to_pylist()))


def _range(column: Profile) -> tuple[int | float | str | None, int | float | str | None]:
    """Returns the smallest and the largest value; of dates the smallest alone, as they go on."""
    if column.logical_type not in ("integer", "number", "date", "timestamp") or not column.distinct:
        return None, None
    ends = pc.min_max(column.values).as_py()
    if column.logical_type in ("date", "timestamp"):
        return f"{ends['min']:%Y-%m-%d}", None
    if not math.isfinite(ends["min"]) or not math.isfinite(ends["max"]):
        return None, None
    return ends["min"], ends["max"]
