"""Finds a key, other columns that almost are one, and rows that repeat an earlier one."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sashiko.data.draft.column_drafts import Classes
from sashiko.data.draft.naming import IDENTIFIER, ROW_NAME, THING, name_matches
from sashiko.data.draft.profile import Profile, RawTable
from sashiko.data.draft.records import Repeats
from sashiko.data.values import all_match, any_match
from sashiko.evaluation.metrics.arrays import Ints

_LONGEST_KEY = 64
_FEW = 30  # distinct values, which are groups and not a key
_NEARLY = 0.95  # distinct values per row that has one
_MANY = 0.5  # the same, in a column with the name of a key
_ROWS_A_KEY = 10
_RUNNING = 0.95  # of a range of whole numbers is used
_DIGITS = 7  # in every value: a number that identifies something, not an amount
_WORDS = 2.5  # on average; more are a text
_EXAMPLES = 3
_RUN_OF_ASCII = r"^[!-~]+\z"


def find_key(raw: RawTable, classes: Classes, *, target: Profile) -> Profile | None:
    """Returns a unique column: one with the name of a key, or else the file's first.

    Its values are whole numbers or single words.
    """
    unique = []
    for column in raw.columns if not raw.numbered else ():
        if column is target or classes[column.name][0] != "none" or not column.is_unique:
            continue
        short = column.logical_type == "string" and not any_match(column.texts, r"\s")
        short = short and pc.max(pc.utf8_length(column.texts)).as_py() <= _LONGEST_KEY
        if short or column.logical_type == "integer":
            unique.append(column)
    named = [column for column in unique if name_matches(IDENTIFIER, column.physical_name)]
    first = [column for column in unique if column is raw.columns[0]]
    return next(iter([*named, *first]), None)


def key_like(column: Profile) -> str:
    """Says why a column identifies rows or persons instead of describing them; else empty.

    `column` is not the label and not a facet.
    """
    kind, rows = column.logical_type, len(column.texts)
    # A warning is of dates or numbers in several forms.
    if kind not in ("string", "integer") or column.distinct <= _FEW or column.warning:
        return ""
    filled = rows - column.missing
    share = column.distinct / filled
    nearly = share >= _NEARLY
    name = column.physical_name
    identifier, thing = name_matches(IDENTIFIER, name), name_matches(THING, name)
    if not (
        (nearly and (name_matches(ROW_NAME, name) or _is_code(column)))
        or (identifier and share >= _MANY)
        or (identifier and not thing and column.distinct > rows / _ROWS_A_KEY)
    ):
        return ""
    what = "a key" if share == 1 else "nearly a key" if nearly else "called as a key is"
    return (
        f"{what}, {column.distinct:,} different values in {filled:,} rows: it identifies a row or "
        "a person and a model learns nothing from it, so no step reads it"
    )


def _is_code(column: Profile) -> bool:
    """Says whether whole numbers are no amounts, or texts are codes or names of one to three words.

    Such numbers are consecutive, or all have many digits.
    """
    if column.logical_type == "integer":
        ends = pc.min_max(column.values).as_py()
        if column.distinct >= _RUNNING * (ends["max"] - ends["min"] + 1):
            return True
        low, high = (10 ** (_DIGITS - 1), 10 ** len(str(ends["min"])))
        return bool(low <= ends["min"] and ends["max"] < high)
    texts = column.texts.drop_null()
    if column.is_prose:
        # A text of another script may have no blanks.
        return all_match(texts, _RUN_OF_ASCII)
    return bool(pc.mean(pc.count_substring_regex(texts, r"\S+")).as_py() <= _WORDS)


def near_key_repeats(column: Profile) -> Repeats:
    """Returns the rows that repeat an earlier value of a column that is nearly a key.

    Empty if the column is a key or far from one.
    """
    filled = len(column.texts) - column.missing
    if column.distinct <= _FEW or column.distinct < _NEARLY * filled:
        return Repeats(rows=0, examples=())
    return repeated_rows([column], rows=np.flatnonzero(column.values.is_valid()))


def repeated_rows(
    columns: Sequence[Profile], *, without: Sequence[Profile] = (), rows: Ints | None = None
) -> Repeats:
    """Returns the rows that are equal to an earlier one in all columns but those of `without`.

    `rows` are the positions of those to compare; None for all.
    """
    excluded = tuple(column.name for column in without)
    compared = [column for column in columns if column.name not in excluded]
    if not compared:
        return Repeats(rows=0, examples=(), excluded=excluded)
    if rows is None:
        rows = np.arange(len(columns[0].texts))
    names = [str(index) for index, _ in enumerate(compared)]
    arrays = [*(column.values.take(pa.array(rows)) for column in compared), pa.array(rows + 1)]
    table = pa.Table.from_arrays(arrays, [*names, "row"])
    first = table.group_by(names).aggregate([("row", "min")])["row_min"]
    repeats = np.setdiff1d(rows + 1, first.to_numpy()).tolist()
    return Repeats(rows=len(repeats), examples=tuple(repeats[:_EXAMPLES]), excluded=excluded)
