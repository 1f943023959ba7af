"""The features that a linear model reads of a row, with the same code in training and serving.

A row is a JSON object, as `text.row_template` writes it. Its features are TF-IDF of the words and
pairs of adjacent words of a text; a number less its mean over its standard deviation, and a 1 for
the number's bin; a 1 for a category. The log-odds of a class against the first one are an intercept
and the sum of coefficient times value.
"""

import datetime as dt
import itertools
import json
import math
import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

LINEAR_FILE = "linear.json"  # beside the coefficients, and in the artifact
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


def terms(names: Sequence[str]) -> list[str]:
    """Returns a text's words, followed by its pairs of adjacent words, which are one shorter."""
    return [*names, *map(" ".join, itertools.pairwise(names))]


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
        edges: of a number, between its bins, ascending; a bin begins at its edge.
    """

    name: str
    kind: Kind
    terms: Sequence[str] = ()
    idf: Sequence[float] = ()
    mean: float = 0.0
    scale: float = 1.0
    edges: Sequence[float] = ()

    @property
    def size(self) -> int:
        """The number of its features: of a number its value, whether it is missing, and bins."""
        if self.kind in ("text", "category"):
            return len(self.terms)
        return 2 + (len(self.edges) + 1 if self.edges else 0)


class Features:
    """Turns rows into features.

    Attributes:
        columns: in the order of their features.
        size: the number of features.
    """

    def __init__(self, columns: Sequence[Column]) -> None:
        """Numbers the features of columns, one after the other."""
        self.columns = tuple(columns)
        self.size = 0
        # Of each column the number of its first feature, and the places of its terms.
        self._places: dict[str, tuple[Column, int, dict[str, int]]] = {}
        for column in columns:
            places = {term: place for place, term in enumerate(column.terms)}
            self._places[column.name] = column, self.size, places
            self.size += column.size

    def of_row(self, row: Mapping[str, Scalar]) -> "dict[int, float]":
        """Returns the features of a row that are not 0: their number -> value.

        Raises:
            ValueError: if a value is not of its column's kind.
        """
        features: dict[int, float] = {}
        for column in self.columns:
            features.update(self.of_value(column.name, row[column.name]))
        return features

    def of_value(self, name: str, value: Scalar) -> "dict[int, float]":
        """Returns the features of a column's value.

        Raises:
            ValueError: if the value is not of the column's kind.
        """
        column, first, places = self._places[name]
        if column.kind == "text":
            return dict(self.of_terms(name, term_list(as_text(value))).values())
        if column.kind == "category":
            category = as_category(value)
            return {first + places[category]: 1.0} if category in places else {}
        try:
            number = as_number(value, column.kind)
        except ValueError as error:
            raise ValueError(f"column `{name}`: {error}") from error
        if number is None:
            return {first + 1: 1.0}
        features = {first: (number - column.mean) / column.scale}
        if column.edges:
            features[first + 2 + bisect_right(column.edges, number)] = 1.0
        return features

    def of_terms(self, name: str, text_terms: Sequence[str]) -> "dict[str, tuple[int, float]]":
        """Returns number and value of the feature of each known term of a text.

        The value is (1 + log count) * idf, divided by the length of the vector of all of them.
        """
        column, first, places = self._places[name]
        counts = Counter(term for term in text_terms if term in places)
        values = {
            term: (1 + math.log(count)) * column.idf[places[term]] for term, count in counts.items()
        }
        length = math.sqrt(math.fsum(value * value for value in values.values()))
        return {term: (first + places[term], value / length) for term, value in values.items()}


def as_text(value: Scalar) -> str:
    """Returns a value of a text column as text, none as an empty one."""
    return "" if value is None else value if isinstance(value, str) else json.dumps(value)


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


def is_linear(folder: Path) -> bool:
    """Returns whether a folder holds a linear model, as Train or Compile wrote it."""
    return (folder / LINEAR_FILE).is_file()


def write_features(features: Features, labels: "tuple[str, ...]", folder: Path) -> None:
    """Writes `linear.json`, with the labels of the classes; floats keep every digit."""
    columns = [asdict(column) for column in features.columns]
    content = json.dumps({"labels": labels, "columns": columns}, ensure_ascii=False)
    (folder / LINEAR_FILE).write_text(content + "\n", encoding="utf-8")


def read_features(folder: Path) -> "tuple[Features, tuple[str, ...]]":
    """Reads the `linear.json` that `write_features` wrote."""
    value = json.loads((folder / LINEAR_FILE).read_text(encoding="utf-8"))
    return Features([Column(**column) for column in value["columns"]]), tuple(value["labels"])
