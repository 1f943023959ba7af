"""Exact attributions of a linear model: each feature adds its coefficient times its value.

With the intercept they sum to the log-odds of the row. A number and a category have one token each.
A text has its words: what a word adds goes to its occurrences in equal parts, and what a pair of
adjacent words adds goes to both in equal parts.

The log-odds are those of a favourable class. Where there are more than two classes, they are no sum
of the features, but a function of the classes' logits, which are. There each logit counts by its
integrated gradient from the intercepts to the row: M. Sundararajan, A. Taly, Q. Yan, Axiomatic
Attribution for Deep Networks (ICML 2017). Of two classes this gradient is 1.

Of a number, what is explained is the predicted value, in its unit: the sum of the features as well.
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
from sashiko.serving.container.number import Number, read_number
from sashiko.serving.container.text import row_template, text_pieces
from sashiko.settings.recipe_data import TextSection
from sashiko.training.linear_model import load_linear, matrix, probabilities

_POINTS = 64  # between the intercepts and a row


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
        number: the scale of a number; None if the label has classes.
    """

    method: Method = "coefficients"
    baseline = ""
    prompt = None

    def __init__(self, folder: Path, text: TextSection, *, first_favourable: int) -> None:
        """Loads the model that Train wrote; classes from `first_favourable` on are favourable.

        Raises:
            InputError: if it is damaged.
        """
        self._model = load_linear(folder)
        self.number = read_number(folder)
        self._kinds = {column.name: column.kind for column in self._model.features.columns}
        self._text = text
        self._first = first_favourable
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
        """Attributes each row's log-odds, or its number, to its tokens."""
        return tuple(self._attribution(self._added(row.ids)) for row in rows)

    def _attribution(self, added: Floats) -> RowAttribution:
        """Returns the attribution of a row by what its tokens add, (tokens, classes - 1)."""
        start, change = self._model.intercept, added.sum(axis=0)
        if self.number:
            baseline, score = _values(self.number, np.append(start, start + change)).tolist()
            tokens = self.number.scale * added[:, 0]
            return RowAttribution(tokens=tokens, score=score, baseline=baseline)
        points, weights = np.polynomial.legendre.leggauss(_POINTS)
        path = _logits(start + (points[:, None] + 1) / 2 * change)
        gradients = np.empty_like(path)
        for side, sign in ((slice(self._first), -1), (slice(self._first, None), 1)):
            together = np.logaddexp.reduce(path[:, side], axis=1, keepdims=True)
            gradients[:, side] = sign * np.exp(path[:, side] - together)
        # A gradient that is the same everywhere stays as it is, to its last bit.
        first = gradients[0]
        counts = first + np.average(gradients - first, axis=0, weights=weights)
        score, baseline = self._log_odds(np.stack([start + change, start])).tolist()
        return RowAttribution(tokens=added @ counts[1:], score=score, baseline=baseline)

    def _log_odds(self, log_odds: Floats) -> Floats:
        """Returns the log-odds of a favourable class, of those of `_added`; shape (rows,)."""
        logits = _logits(log_odds)
        sides = logits[:, self._first :], logits[:, : self._first]
        favourable, unfavourable = (np.logaddexp.reduce(side, axis=1) for side in sides)
        difference: Floats = favourable - unfavourable
        return difference

    def scores(
        self, rows: Sequence[Ints], *, on_progress: Callable[[int], None] = lambda _: None
    ) -> Floats:
        """Scores the tokens of rows; a token that is left out adds nothing.

        Returns:
            The probability of each class, float64, shape (rows, classes); or the predicted number,
            shape (rows, 1).
        """
        log_odds = [self._model.intercept + self._added(ids).sum(axis=0) for ids in rows]
        on_progress(len(rows))
        sums = np.array(log_odds)
        return _values(self.number, sums) if self.number else probabilities(_logits(sums))

    def score_texts(self, texts: Sequence[str]) -> Floats:
        """Scores rows, JSON objects, as `scores` does."""
        if self.number:
            sums = self._model.logits(matrix(self._model.features, texts))
            return _values(self.number, sums)
        return self._model.scores(texts)

    def _added(self, ids: Ints) -> Floats:
        """Returns what each token adds to the log-odds of each class against the first one.

        Returns:
            float64, shape (tokens, classes - 1).
        """
        tokens = [self._tokens[place] for place in ids.tolist()]
        coefficients = self._model.coefficients.T
        added = np.zeros((len(tokens), coefficients.shape[1]))
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


def _values(number: Number, outputs: Floats) -> Floats:
    return number.mean + number.scale * outputs


def _logits(log_odds: Floats) -> Floats:
    """Adds the first class, whose logit is 0, to the log-odds of the others; (rows, classes)."""
    return np.hstack([np.zeros((len(log_odds), 1)), log_odds])
