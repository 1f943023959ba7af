"""Exact attributions of a linear model: each feature adds its coefficient times its value.

With the intercept they sum to the log-odds of the row. A number and a category have one token each.
A text has its words: what a word adds goes to its occurrences in equal parts, and what a pair of
adjacent words adds goes to both in equal parts.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

from sashiko.evaluation.metrics.arrays import Floats, Ints
from sashiko.explain.attribution import RowAttribution
from sashiko.explain.explanation_record import Method
from sashiko.explain.tokens import Piece, Row
from sashiko.serving.container.linear import Scalar, as_text, terms, words
from sashiko.serving.container.text import row_template, text_pieces
from sashiko.settings.recipe_data import TextSection
from sashiko.training.linear_model import load_linear, probabilities


@dataclass(frozen=True)
class _Token:
    """A word of a text in small letters, or the value of a number or a category."""

    column: str
    value: Scalar


class LinearExplanation:
    """A linear model whose predictions are explained.

    The rows are shown in the recipe's template; the model itself reads their columns.

    Attributes:
        method: of the attributions.
        baseline: empty, as nothing replaces a word; the score of a row without features is the
            intercept.
        prompt: None, as of every model but a causal LM.
    """

    method: Method = "coefficients"
    baseline = ""
    prompt = None

    def __init__(self, folder: Path, text: TextSection) -> None:
        """Loads the model that Train wrote.

        Raises:
            InputError: if it is damaged.
        """
        self._model = load_linear(folder)
        self._kinds = {column.name: column.kind for column in self._model.features.columns}
        self._text = text
        self._tokens: list[_Token] = []  # of all rows that were read; an id is a place here

    def pieces(self, text: str) -> tuple[Piece, ...]:
        """Returns the pieces of a row, a JSON object, that is written as the model reads it."""
        return tuple(text_pieces(row_template(self._kinds), json.loads(text), ""))

    def read(self, texts: Sequence[str]) -> tuple[Row, ...]:
        """Returns the tokens of rows, JSON objects, in the recipe's template."""
        return tuple(self._row(json.loads(text)) for text in texts)

    def _row(self, row: dict[str, Scalar]) -> Row:
        pieces = tuple(text_pieces(self._text.template, row, self._text.missing))
        spans: list[tuple[int, int, int]] = []
        first, start, seen = len(self._tokens), 0, set[str]()
        for place, (column, text) in enumerate(pieces):
            if column is not None and column not in seen:
                seen.add(column)
                value = row[column]
                if self._kinds[column] == "text":
                    for word in words(as_text(value)):
                        self._tokens.append(_Token(column, word.word))
                        spans.append((start + word.start, start + word.end, place))
                else:
                    self._tokens.append(_Token(column, value))
                    spans.append((start, start + len(text), place))
            start += len(text)
        starts, ends, pieces_of = np.array(spans, dtype=np.int64).reshape(-1, 3).T
        return Row(
            pieces=pieces,
            ids=np.arange(first, len(self._tokens)),
            starts=starts,
            ends=ends,
            pieces_of=pieces_of,
            words=np.arange(len(spans)),
            cut=(),
        )

    def attribute(self, rows: Sequence[Row]) -> tuple[RowAttribution, ...]:
        """Attributes each row's log-odds to its tokens."""
        intercept = self._model.intercept
        added = [self._added(row.ids) for row in rows]
        return tuple(
            RowAttribution(tokens=tokens, score=intercept + float(tokens.sum()), baseline=intercept)
            for tokens in added
        )

    def probabilities(
        self, rows: Sequence[Ints], *, on_progress: Callable[[int], None] = lambda _: None
    ) -> Floats:
        """Scores the tokens of rows; a token that is left out adds nothing.

        Returns:
            P(positive), float64, shape (rows,).
        """
        log_odds = [self._model.intercept + self._added(ids).sum() for ids in rows]
        on_progress(len(rows))
        return probabilities(np.array(log_odds, dtype=np.float64))

    def scores(self, texts: Sequence[str]) -> Floats:
        """Scores rows, JSON objects: P(positive), float64, shape (rows,)."""
        return self._model.scores(texts)

    def _added(self, ids: Ints) -> Floats:
        """Returns what each token adds to the log-odds of its row, float64, shape (tokens,)."""
        tokens = [self._tokens[place] for place in ids.tolist()]
        added, coefficients = np.zeros(len(tokens)), self._model.coefficients
        features = self._model.features
        for column, kind in self._kinds.items():
            own = [place for place, token in enumerate(tokens) if token.column == column]
            if kind != "text":
                for place in own:
                    entries = features.of_value(column, tokens[place].value)
                    added[place] = sum(coefficients[at] * value for at, value in entries.items())
                continue
            # The places of a word, and of the two words of a pair, in the order of `terms`.
            owners = [[place] for place in own] + [list(pair) for pair in pairwise(own)]
            listed = terms([str(tokens[place].value) for place in own])
            values = features.of_terms(column, listed)
            for term, places in zip(listed, owners, strict=True):
                if term in values:
                    number, value = values[term]
                    added[places] += coefficients[number] * value / listed.count(term) / len(places)
        return added
