"""The linear model: logistic or ridge regression on the columns of a row, by scikit-learn.

It is a family of its own (`model.family: linear`), and the baseline that every other model is
compared with.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from sashiko.data.splits import ColumnKind
from sashiko.errors import InputError
from sashiko.evaluation.metrics.arrays import Floats, Ints
from sashiko.serving.container.linear import (
    Column,
    Features,
    Scalar,
    as_category,
    as_number,
    as_text,
    parse_row,
    read_features,
    term_list,
    write_features,
)
from sashiko.serving.container.number import NUMBER_FILE

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

MODEL_FILE = "model.safetensors"
_MOST_BINS = 50  # chosen on validation rows: decision 43
_ROWS_A_BIN = 50
# Of a text column: its most frequent words and pairs of words. More would make the artifact large.
MOST_TERMS = 200_000


@dataclass(frozen=True)
class LinearModel:
    """A fitted linear model."""

    features: Features
    # Of each feature, in the log-odds of each class but the first one against the first; float64,
    # shape (classes - 1, features). Of a number, in its standard deviations, shape (1, features).
    coefficients: Floats
    intercept: Floats  # of these log-odds, shape (classes - 1,); or of the number, shape (1,)
    is_number: bool = False  # whether the label is a number

    def logits(self, rows: "csr_matrix") -> Floats:
        """Returns the logits of each row of `matrix`, (rows, classes); the first class has 0.

        Of a number it returns the distance from the mean in standard deviations, (rows, 1).
        """
        sums: Floats = rows @ self.coefficients.T + self.intercept
        return sums if self.is_number else np.hstack([np.zeros((len(sums), 1)), sums])

    def scores(self, rows: Sequence[str]) -> Floats:
        """Returns the probabilities of the classes of rows, JSON objects; (rows, classes)."""
        return probabilities(self.logits(matrix(self.features, rows)))

    def divided(self, temperature: float) -> "LinearModel":
        """Returns the model with its logits divided by a number."""
        return replace(
            self,
            coefficients=self.coefficients / temperature,
            intercept=self.intercept / temperature,
        )

    def save(self, folder: Path, *, labels: tuple[str, ...]) -> None:
        """Writes features as JSON and coefficients as safetensors: equal models, equal bytes."""
        from safetensors.numpy import save_file

        write_features(self.features, labels, folder)
        tensors = {"coefficients": self.coefficients.ravel(), "intercept": self.intercept}
        save_file(tensors, folder / MODEL_FILE)


def load_linear(folder: Path) -> LinearModel:
    """Loads what `LinearModel.save` wrote.

    Raises:
        InputError: if it is damaged.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        features, _ = read_features(folder)
        tensors = load_file(folder / MODEL_FILE)
        intercept = tensors["intercept"]
        shape = len(intercept), features.size
        coefficients = tensors["coefficients"].reshape(shape)
        return LinearModel(features, coefficients, intercept, (folder / NUMBER_FILE).is_file())
    except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
        raise InputError(f"{folder}: the linear model cannot be read: {error}") from error


def probabilities(logits: Floats) -> Floats:
    """Returns the softmax of logits, shape (rows, classes)."""
    scores = np.empty_like(logits)
    for index, own in enumerate(logits.T):
        scores[:, index] = np.exp(-np.logaddexp.reduce(logits - own[:, None], axis=1))
    return scores


def fit_features(rows: Sequence[str], kinds: Mapping[str, ColumnKind]) -> Features:
    """Fits vocabularies, categories and scales on the rows of the train split, JSON objects.

    Raises:
        InputError: if a value is not of its column's kind.
    """
    parsed = [json.loads(row) for row in rows]
    columns = (_fit(name, kind, [row[name] for row in parsed]) for name, kind in kinds.items())
    return Features(tuple(columns))


def _fit(name: str, kind: ColumnKind, values: Sequence[Scalar]) -> Column:
    """Fits a column."""
    if kind == "category":
        return Column(name, kind, terms=tuple(sorted({as_category(value) for value in values})))
    if kind == "text":
        return _fit_text(name, values)
    try:
        numbers = [as_number(value, kind) for value in values]
    except ValueError as error:
        raise InputError(f"column `{name}` of the train split: {error}") from error
    known = np.array([number for number in numbers if number is not None])
    if not len(known):
        return Column(name, kind)
    return Column(
        name,
        kind,
        mean=float(known.mean()),
        scale=float(known.std()) or 1.0,
        edges=_edges(known),
    )


def _edges(numbers: Floats) -> tuple[float, ...]:
    """Returns the edges between bins of numbers: quantiles of their distinct values.

    A straight line is a weak model of an age, or of a sum that is mostly 0. Distinct values, as a
    value that half of the rows have would take half of the bins. Fewer rows have fewer bins.
    """
    bins = min(_MOST_BINS, len(numbers) // _ROWS_A_BIN)
    inner = np.linspace(0, 1, max(bins, 1) + 1)[1:-1]
    edges: list[float] = np.unique(np.quantile(np.unique(numbers), inner)).tolist()
    return tuple(edges)


def _fit_text(name: str, values: Sequence[Scalar]) -> Column:
    from sklearn.feature_extraction.text import TfidfVectorizer

    vectorizer = TfidfVectorizer(analyzer=term_list, sublinear_tf=True, max_features=MOST_TERMS)
    texts = [as_text(value) for value in values]
    if not any(map(term_list, texts)):  # scikit-learn refuses an empty vocabulary
        return Column(name, "text")
    vectorizer.fit(texts)
    terms = tuple(vectorizer.get_feature_names_out().tolist())
    return Column(name, "text", terms=terms, idf=tuple(vectorizer.idf_.tolist()))


def matrix(features: Features, rows: Sequence[str]) -> "csr_matrix":
    """Returns the features of rows, JSON objects; float64, shape (rows, features).

    Raises:
        InputError: if a value is not of its column's kind.
    """
    from scipy.sparse import csr_matrix

    offsets, numbers, values = [0], list[int](), list[float]()
    for row in rows:
        try:
            entries = features.of_row(parse_row(row, features))
        except ValueError as error:
            raise InputError(f"a row that the linear model cannot read: {error}") from error
        numbers += entries.keys()
        values += entries.values()
        offsets.append(len(numbers))
    shape = (len(rows), features.size)
    return csr_matrix((np.array(values, dtype=np.float64), numbers, offsets), shape=shape)


def fit_coefficients(
    features: Features, rows: "csr_matrix", labels: Ints, *, weights: Floats | None, seed: int
) -> LinearModel:
    """Fits the coefficients on a matrix of the train split's rows.

    Raises:
        InputError: if the train split has one label only.
    """
    from sklearn.linear_model import LogisticRegression

    if len(np.unique(labels)) < 2:
        raise InputError("the train split has one label only: nothing can be learned from it")
    _check_features(features)
    model = LogisticRegression(max_iter=1000, random_state=seed)
    model.fit(rows, labels, sample_weight=weights)
    coefficients, intercept = model.coef_.astype(np.float64), model.intercept_.astype(np.float64)
    if len(intercept) > 1:  # of two classes, scikit-learn gives the log-odds of the second
        coefficients, intercept = coefficients[1:] - coefficients[0], intercept[1:] - intercept[0]
    return LinearModel(features, coefficients, intercept)


def fit_ridge(
    features: Features, rows: "csr_matrix", targets: Floats, *, weights: Floats | None
) -> LinearModel:
    """Fits a number's coefficients on a matrix of the train split's rows, by ridge regression.

    `targets` are distances from the mean in standard deviations, shape (rows,). The loss is the sum
    of squared errors and of squared coefficients.

    Raises:
        InputError: if there is no feature.
    """
    from sklearn.linear_model import Ridge

    _check_features(features)
    model = Ridge(alpha=1.0, solver="sparse_cg", tol=1e-8)
    model.fit(rows, targets, sample_weight=weights)
    coefficients, intercept = np.atleast_2d(model.coef_), np.atleast_1d(model.intercept_)
    return LinearModel(features, coefficients, intercept, is_number=True)


def _check_features(features: Features) -> None:
    if not features.size:
        raise InputError("the train split has no word in any text column: nothing can be learned")
