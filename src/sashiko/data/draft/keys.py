"""Which column tells the rows apart, which others nearly do, and which rows come more than once."""

from collections.abc import Sequence

import numpy as np
import pyarrow.compute as pc

from sashiko.data.draft.columns import Classes
from sashiko.data.draft.naming import is_identifier, is_row_name, is_things
from sashiko.data.draft.profile import Profile, RawTable
from sashiko.data.draft.records import Repeats
from sashiko.evaluation.metrics.arrays import Ints

_LONGEST_KEY = 64
_FEW = 30  # different values, which are groups and no key
_NEARLY = 0.95  # different values for the rows that have one
_MANY = 0.5  # the same, in a column that is called as a key is
_ROWS_A_VALUE = 10
_RUNNING = 0.95  # of a range of whole numbers is used
_DIGITS = 7  # in every value: the numbers of something, and no amount
_WORDS = 2.5  # on average; more are a text
_SENTENCE = 25  # characters
_EXAMPLES = 3
_RUN_OF_ASCII = r"^[!-~]+\z"


def find_key(raw: RawTable, classes: Classes, *, target: Profile) -> Profile | None:
    """Takes a column that tells every row apart: one that is called so, or else the first one."""
    if raw.numbered:
        return None
    unique = [
        column
        for column in raw.columns
        if column is not target
        and classes[column.name][0] == "none"
        and _is_unique(column, raw.rows)
        and _is_short(column)
    ]
    named = [column for column in unique if is_identifier(column.physical_name)]
    first = [column for column in unique if column is raw.columns[0]]
    return next(iter([*named, *first]), None)


def key_like(column: Profile, rows: int) -> str:
    """Says why a column tells rows or persons apart instead of describing them; else nothing.

    Args:
        column: no label and no facet.
        rows: of the file.
    """
    filled = rows - column.missing
    if column.logical_type not in ("string", "integer") or column.distinct <= _FEW:
        return ""
    if column.warning:  # dates or numbers that are not all written alike
        return ""
    share = column.distinct / filled
    nearly = share >= _NEARLY
    name = column.physical_name
    if not (
        (nearly and (is_row_name(name) or _is_number_of_something(column) or _is_name(column)))
        or (is_identifier(name) and share >= _MANY)
        or (is_identifier(name) and not is_things(name) and column.distinct > rows / _ROWS_A_VALUE)
    ):
        return ""
    what = "a key" if share == 1 else "nearly a key" if nearly else "called as a key is"
    return (
        f"{what}, {column.distinct:,} different values in {filled:,} rows: it finds a row or a "
        "person again and teaches nothing, so no step reads it"
    )


def near_key_rows(column: Profile, rows: int) -> tuple[int, tuple[int, ...]]:
    """Counts the rows that repeat an earlier value of a column that is nearly a key.

    Returns:
        How many, and the first of them, from 1; none where the column is a key or far from one.
    """
    filled = rows - column.missing
    repeated = filled - column.distinct
    if not repeated or column.distinct <= _FEW or column.distinct < _NEARLY * filled:
        return 0, ()
    codes = _codes(column)
    codes[np.asarray(column.values.is_null())] = -1
    repeats = _repeats(codes)
    repeats = repeats[codes[repeats] >= 0]
    return repeated, _examples(repeats)


def repeated_rows(columns: Sequence[Profile], *, without: Sequence[Profile] = ()) -> Repeats:
    """Finds the rows that are equal to an earlier one, but for some columns."""
    left_out = [column.name for column in without]
    groups: Ints | None = None
    for column in columns:
        if column.name in left_out:
            continue
        codes = _codes(column)
        if groups is not None:
            codes = groups * (codes.max() + 1) + codes
        groups = np.unique(codes, return_inverse=True)[1].astype(np.int64)
    repeats = np.empty(0, dtype=np.int64) if groups is None else _repeats(groups)
    return Repeats(rows=len(repeats), examples=_examples(repeats), but_for=tuple(left_out))


def is_reference(column: Profile, rows: int) -> bool:
    """A number that every row has for itself tells nothing of the next one."""
    return is_identifier(column.physical_name) and _is_unique(column, rows)


def _codes(column: Profile) -> Ints:
    encoded = pc.dictionary_encode(column.values, null_encoding="encode")
    return np.asarray(encoded.indices, dtype=np.int64)


def _repeats(codes: Ints) -> Ints:
    first = np.unique(codes, return_index=True)[1]
    return np.setdiff1d(np.arange(len(codes), dtype=np.int64), first)


def _examples(rows: Ints) -> tuple[int, ...]:
    return tuple(int(row) + 1 for row in rows[:_EXAMPLES])


def _is_unique(column: Profile, rows: int) -> bool:
    return column.missing == 0 and column.distinct == rows


def _is_short(column: Profile) -> bool:
    """A key is a whole number or one word."""
    if column.logical_type == "integer":
        return True
    spaced = pc.any(pc.match_substring_regex(column.texts, r"\s")).as_py()
    longest = pc.max(pc.utf8_length(column.texts)).as_py()
    return bool(column.logical_type == "string" and not spaced and longest <= _LONGEST_KEY)


def _is_number_of_something(column: Profile) -> bool:
    """Tells whole numbers that run on, or that all have many digits, from amounts."""
    if column.logical_type != "integer":
        return False
    ends = pc.min_max(column.values).as_py()
    if column.distinct >= _RUNNING * (ends["max"] - ends["min"] + 1):
        return True
    low, high = (10 ** (_DIGITS - 1), 10 ** len(str(ends["min"])))
    return bool(low <= ends["min"] and ends["max"] < high)


def _is_name(column: Profile) -> bool:
    """Tells codes, and names of one to three words, from texts."""
    if column.logical_type != "string":
        return False
    texts = column.texts.drop_null()
    if (pc.mean(pc.utf8_length(texts)).as_py() or 0) >= _SENTENCE:
        # Without blanks a text of another script is still a text.
        return bool(pc.all(pc.match_substring_regex(texts, _RUN_OF_ASCII)).as_py())
    return bool(pc.mean(pc.count_substring_regex(texts, r"\S+")).as_py() <= _WORDS)
