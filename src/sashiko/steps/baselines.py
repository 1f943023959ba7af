"""Baseline models to compare the fine-tuned model with."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from sashiko.errors import InputError
from sashiko.evaluation.metrics.arrays import Floats, Ints

if TYPE_CHECKING:
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.pipeline import Pipeline

MAJORITY = "majority"
LINEAR = "tfidf_logistic_regression"
LINEAR_UNMITIGATED = "tfidf_logistic_regression_unmitigated"
MAJORITY_THRESHOLD = 0.5


def majority_scores(train_labels: Ints, *, rows: int) -> Floats:
    """Gives every row the positive rate of the train split.

    At a threshold of 0.5 this predicts the more frequent label.
    """
    return np.full(rows, train_labels.mean())


@dataclass(frozen=True)
class LinearModel:
    """TF-IDF of words and word pairs with logistic regression."""

    pipeline: "Pipeline"  # fitted; class 1 is the positive label

    def scores(self, texts: Sequence[str]) -> Floats:
        """Returns P(positive) of each text, float64."""
        scores: Floats = self.pipeline.predict_proba(list(texts))[:, 1].astype(np.float64)
        return scores


def fit_linear(
    texts: Sequence[str], labels: Ints, *, weights: Floats | None = None, seed: int
) -> LinearModel:
    """Fits the linear model on the texts of the train split.

    Args:
        texts: of the rows.
        labels: of the rows, 0 or 1.
        weights: of the rows in the loss; None for 1 each.
        seed: of the solver.

    Raises:
        InputError: if the train split has one label only.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    if len(np.unique(labels)) < 2:
        raise InputError("the train split has one label only: nothing can be learned from it")
    model = make_pipeline(
        _vectorizer(),
        LogisticRegression(max_iter=1000, random_state=seed),
    )
    model.fit(list(texts), labels, logisticregression__sample_weight=weights)
    return LinearModel(model)


def word_features() -> Callable[[str], list[str]]:
    """Returns the analyzer that splits a text into words and pairs of adjacent words."""
    analyse: Callable[[str], list[str]] = _vectorizer().build_analyzer()
    return analyse


def _vectorizer() -> "TfidfVectorizer":
    from sklearn.feature_extraction.text import TfidfVectorizer

    return TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True)
