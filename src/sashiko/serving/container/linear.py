"""The features that a linear model reads of a row, with the same code in training and serving.

A row is a JSON object, as `text.row_template` writes it. Features are TF-IDF of the words and pairs
of adjacent words of a text, a number less its mean over its standard deviation, and a 1 for a
category. The score's log-odds are the sum of coefficient times value, and the intercept.
"""

import datetime as dt
import itertools
import json
import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

Kind = Literal["text", "number", "date", "category"]
Scalar = str | int | float | bool | None
# As scikit-learn's TfidfVectorizer finds words: two letters or digits at least.
_WORD = re.compile(r"\b\w\w+\b")
_DAY = 86_400  # seconds


@dataclass(frozen=True)
class Word:
    """A word in small letters, and its characters in the text."""

    word: str
    start: int
    end: int


def words(text: str) -> list[Word]:
    """Returns the words of a text, in order."""
    return [Word(match[0].lower(), *match.span()) for match in _WORD.finditer(text)]


def terms(found: Sequence[str]) -> list[str]:
    """Returns a text's words, followed by its pairs of adjacent words, which are one shorter."""
    return [*found, *map(" ".join, itertools.pairwise(found))]


def term_list(text: str) -> list[str]:
    """Returns the words and pairs of words of a text."""
    return terms([item.word for item in words(text)])


def as_category(value: Scalar) -> str:
    """Returns the name of a category, which tells apart no value, `null` and the text "null"."""
    return json.dumps(value, ensure_ascii=False)


def as_number(value: Scalar, kind: Kind) -> "float | None":
    """Returns the number that a column's value stands for; of a date the days since 1970.

    Raises:
        ValueError: if the value is none.
    """
    if value is None:
        return None
    try:
        if kind == "date":
            time = dt.datetime.fromisoformat(str(value).replace("Z", "+00:00"))
            time = time.replace(tzinfo=time.tzinfo or dt.timezone.utc)  # noqa: UP017 - Python 3.10
            return time.timestamp() / _DAY
        if not isinstance(value, (str, bool)) and math.isfinite(value):
            return float(value)
    except (OverflowError, ValueError):
        pass
    expected = "a date, such as 2026-01-31" if kind == "date" else "a number"
    raise ValueError(f"expected {expected}, or null")


@dataclass(frozen=True)
class Column:
    """A column of the row, and its features.

    Attributes:
        name: of the column.
        kind: how its values become features.
        terms: of a text its words and pairs of words, of a category its values by `as_category`.
        idf: of a text, the weight of each term: its inverse document frequency.
        mean: of a number, in the training rows.
        scale: of a number, its standard deviation there; 1 if it is constant.
    """

    name: str
    kind: Kind
    terms: Sequence[str] = ()
    idf: Sequence[float] = ()
    mean: float = 0.0
    scale: float = 1.0

    @property
    def size(self) -> int:
        """The number of its features: of a number its value, and whether it is missing."""
        return len(self.terms) if self.kind in ("text", "category") else 2


class Features:
    """Turns rows into features.

    Attributes:
        columns: in the order of their features.
        size: the number of features.
    """

    def __init__(self, columns: Sequence[Column]) -> None:
        """Numbers the features of columns, one after the other."""
        self.columns = tuple(columns)
        self._places: list[tuple[Column, int, dict[str, int]]] = []
        self.size = 0
        for column in columns:
            places = {term: place for place, term in enumerate(column.terms)}
            self._places.append((column, self.size, places))
            self.size += column.size

    def of_row(self, row: Mapping[str, Scalar]) -> "dict[int, float]":
        """Returns the features of a row that are not 0: their number -> value.

        Raises:
            ValueError: if a value is not of its column's kind.
        """
        features: dict[int, float] = {}
        for column, first, places in self._places:
            value = row[column.name]
            try:
                found = _of_value(column, places, value)
            except ValueError as error:
                raise ValueError(f"column `{column.name}`: {error}") from error
            features.update((first + place, number) for place, number in found.items())
        return features

    def knows(self, row: Mapping[str, Scalar]) -> bool:
        """Returns whether the training rows had each category, word and pair of words of a row."""
        return all(
            places.keys() >= set(_names(column, row[column.name]))
            for column, _, places in self._places
        )


def _names(column: Column, value: Scalar) -> "list[str]":
    """Returns the terms of a text, or the name of a category."""
    if column.kind == "category":
        return [as_category(value)]
    return term_list(as_text(value)) if column.kind == "text" else []


def as_text(value: Scalar) -> str:
    """Returns a value of a text column as text, none as an empty one."""
    return "" if value is None else value if isinstance(value, str) else json.dumps(value)


def _of_value(column: Column, places: "dict[str, int]", value: Scalar) -> "dict[int, float]":
    """Returns the features of a value, numbered from 0."""
    if column.kind == "text":
        return _of_terms(column, places, _names(column, value))
    if column.kind == "category":
        return {places[name]: 1.0 for name in _names(column, value) if name in places}
    number = as_number(value, column.kind)
    return {1: 1.0} if number is None else {0: (number - column.mean) / column.scale}


def _of_terms(column: Column, places: "dict[str, int]", found: Sequence[str]) -> "dict[int, float]":
    """Returns (1 + log count) * idf of each term, divided by the length of the vector."""
    counts = Counter(places[term] for term in found if term in places)
    values = {place: (1 + math.log(count)) * column.idf[place] for place, count in counts.items()}
    length = math.sqrt(math.fsum(value * value for value in values.values()))
    return {place: value / length for place, value in values.items()}


def parse_row(text: str, features: Features) -> "dict[str, Scalar]":
    """Reads a row from its text.

    Raises:
        ValueError: if it is not a JSON object of the model's columns, each a scalar.
    """
    names = [column.name for column in features.columns]
    try:
        row: Any = json.loads(text)
    except ValueError:
        row = None
    if not isinstance(row, dict) or set(row) != set(names):
        raise ValueError(f"expected an object with the columns {', '.join(names)}")
    for name, value in row.items():
        if isinstance(value, (list, dict)):
            raise ValueError(f"column `{name}` must be a text, a number, true, false or null")
    return row
