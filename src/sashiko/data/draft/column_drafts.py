"""Drafts the contract's columns, and finds keys, repeated rows and personal data."""

import math
import re
from collections.abc import Mapping, Sequence
from itertools import cycle

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sashiko.contract.model import Classification
from sashiko.data.draft.naming import IDENTIFIER, ROW_NAME, THING, classify_name, name_matches
from sashiko.data.draft.profile import ColumnDraft, Profile, RawTable, Repeats
from sashiko.data.values import all_match, any_match
from sashiko.evaluation.metrics.arrays import Ints

# RE2's syntax. A phone number begins with 0 or +, so that amounts and dates are none.
_PATTERNS: Mapping[str, str] = {
    "a phone number": r"(?:^|[^\d+.,])(?:\+\d|\(?0[1-9])[\d /()-]{5,16}\d",
    "an e-mail address": r"[^@\s]+@[^@\s]+\.[A-Za-z]{2,}",
    "an IBAN": r"\b[A-Z]{2}\d{2}(?: ?[A-Z\d]{4}){3,7}",
}
_CARD = re.compile(r"(?<!\d)\d(?:[ -]?\d){12,18}(?!\d)")
_MOST_ALLOWED = 30  # values that are worth a list
_ROWS_A_VALUE = 10  # with fewer rows to each, later data probably has other values
_EMAIL = r"^[^@\s]+@[^@\s]+\.[^@\s]+$"
Classes = dict[str, tuple[Classification, str]]
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


def describe_personal(texts: pa.Array) -> str:
    """Says which share of the texts, null where missing, has which personal data; else empty.

    Names and addresses have no form, so a text without a match may still name a person.
    """
    filled = texts.drop_null()
    counts = {
        what: pc.sum(pc.match_substring_regex(filled, pattern)).as_py() or 0
        for what, pattern in _PATTERNS.items()
    }
    digits = filled.filter(pc.match_substring_regex(filled, r"\d(?:[ -]?\d){12}"))
    counts["a card number"] = sum(
        any(_luhn(re.sub(r"\D", "", number)) for number in _CARD.findall(text))
        for text in digits.to_pylist()
    )
    shares = [
        f"{100 * count / len(filled):.1f} % have {what}" for what, count in counts.items() if count
    ]
    return ", ".join(shares)


def _luhn(number: str) -> bool:
    """Checks the last digit: ISO/IEC 7812-1, annex B."""
    digits = zip(reversed(number), cycle((1, 2)), strict=False)
    doubled = [int(digit) * factor for digit, factor in digits]
    return sum(value - 9 if value > 9 else value for value in doubled) % 10 == 0


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
            why += ": read some, and classify it as pii if they do, or remove names at the source"
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

    `classification` comes with its reason; `key` is the primary key; `category` is label or facet,
    whose values are texts and all listed.
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
    what = "a key" if share == 1 else "nearly a key" if nearly else "named like a key"
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
