"""Baseline models to compare the fine-tuned model with."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from sashiko.errors import InputError
from sashiko.evaluation.metrics.arrays import Floats, Ints

if TYPE_CHECKING:
    from sklearn.feature_extraction.text import TfidfVectorizer

MAJORITY = "majority"
LINEAR = "tfidf_logistic_regression"
LINEAR_UNMITIGATED = "tfidf_logistic_regression_unmitigated"
MAJORITY_THRESHOLD = 0.5


def majority_scores(train_labels: Ints, *, rows: int) -> Floats:
    """Gives every row the positive rate of the train split.

    At a threshold of 0.5 this predicts the more frequent label.
    """
    return np.full(rows, train_labels.mean())


def linear_scores(
    train_texts: Sequence[str],
    train_labels: Ints,
    texts: Sequence[str],
    *,
    weights: Floats | None = None,
    seed: int,
) -> Floats:
    """Fits TF-IDF of words and word pairs with logistic regression, and scores texts.

    Returns:
        P(positive) of each of `texts`, float64.

    Raises:
        InputError: if the train split has one label only.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    if len(np.unique(train_labels)) < 2:
        raise InputError("the train split has one label only: nothing can be learned from it")
    model = make_pipeline(
        _vectorizer(),
        LogisticRegression(max_iter=1000, random_state=seed),
    )
    model.fit(list(train_texts), train_labels, logisticregression__sample_weight=weights)
    scores: Floats = model.predict_proba(list(texts))[:, 1].astype(np.float64)
    return scores


def word_features() -> Callable[[str], list[str]]:
    """Returns the analyzer that splits a text into words and pairs of adjacent words."""
    analyse: Callable[[str], list[str]] = _vectorizer().build_analyzer()
    return analyse


def _vectorizer() -> "TfidfVectorizer":
    from sklearn.feature_extraction.text import TfidfVectorizer

    return TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True)
