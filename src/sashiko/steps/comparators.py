"""Compares a candidate with other models: the threshold, the baselines, metrics and leads."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from sashiko.errors import InputError
from sashiko.evaluation.evaluation_record import Decision, Estimates
from sashiko.evaluation.metrics.arrays import Floats, Ints, ModelScores
from sashiko.evaluation.metrics.own_metrics import OwnMetrics
from sashiko.evaluation.metrics.quality import (
    Resampled,
    choose_threshold,
    evaluate_scores,
    resample,
)
from sashiko.settings.recipe_quality import EvaluateSection, ThresholdSection
from sashiko.steps.scored_splits import Split

if TYPE_CHECKING:
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.pipeline import Pipeline

MAJORITY = "majority"
LINEAR = "tfidf_logistic_regression"
LINEAR_UNMITIGATED = "tfidf_logistic_regression_unmitigated"
MAJORITY_THRESHOLD = 0.5


def majority_scores(train_labels: Ints, *, rows: int) -> Floats:
    """Gives every row the train split's positive rate: at 0.5 that is the more frequent label."""
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
    """Fits the linear model on the texts of the train split, with labels of 0 or 1.

    `weights` are those of the rows in the loss; None for 1 each.

    Raises:
        InputError: if the train split has one label only.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    if len(np.unique(labels)) < 2:
        raise InputError("the train split has one label only: nothing can be learned from it")
    model = make_pipeline(_vectorizer(), LogisticRegression(max_iter=1000, random_state=seed))
    model.fit(list(texts), labels, logisticregression__sample_weight=weights)
    return LinearModel(model)


def word_features() -> Callable[[str], list[str]]:
    """Returns the analyzer that splits a text into words and pairs of adjacent words."""
    analyse: Callable[[str], list[str]] = _vectorizer().build_analyzer()
    return analyse


def _vectorizer() -> "TfidfVectorizer":
    from sklearn.feature_extraction.text import TfidfVectorizer

    return TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True)


def decide_threshold(section: ThresholdSection, labels: Ints, scores: Floats) -> Decision:
    """Chooses the decision threshold on the validation split by the recipe's policy."""
    metric, threshold = section.metric, section.value
    if threshold is None:
        threshold = choose_threshold(labels, scores, metric=metric)
    value = evaluate_scores(labels, scores, threshold=threshold, replicates=1, seed=0)[metric].value
    return Decision(
        threshold=threshold, policy=section.policy, metric=metric, validation_value=value
    )


def majority_baseline(train: Split, test: Split) -> ModelScores:
    """Predicts the train split's more frequent label for every row."""
    return ModelScores(majority_scores(train.labels, rows=len(test.keys)), MAJORITY_THRESHOLD)


def linear_baselines(
    section: EvaluateSection, train: Split, validation: Split, test: Split, *, weights: Floats
) -> dict[str, ModelScores]:
    """Fits the linear baseline with the candidate's weights and threshold policy.

    Returns:
        `LINEAR`; and where the weights differ, `LINEAR_UNMITIGATED`, fitted without them.

    Raises:
        InputError: if the train split has one label only.
    """
    fits = {LINEAR: weights}
    if np.ptp(weights) > 0:
        fits[LINEAR_UNMITIGATED] = np.ones_like(weights)
    models = {}
    for name, row_weights in fits.items():
        model = fit_linear(train.texts, train.labels, weights=row_weights, seed=section.seed)
        scores = model.scores(validation.texts + test.texts)
        on_validation, on_test = np.split(scores, [len(validation.texts)])
        decision = decide_threshold(section.threshold, validation.labels, on_validation)
        models[name] = ModelScores(on_test, decision.threshold)
    return models


def resample_models(
    section: EvaluateSection, labels: Ints, models: Mapping[str, ModelScores], own: OwnMetrics
) -> dict[str, Resampled]:
    """Evaluates models on the same resamples of the rows, for their metrics and leads."""
    replicates, seed = section.bootstrap_replicates, section.seed
    resampled = resample(labels, [*models.values()], replicates=replicates, seed=seed, own=own)
    return dict(zip(models, resampled, strict=True))


def model_metrics(
    section: EvaluateSection, labels: Ints, model: ModelScores, own: OwnMetrics
) -> Estimates:
    """Computes a model's metrics with their intervals."""
    return resample_models(section, labels, {"model": model}, own)["model"].estimates()


def model_lead(
    section: EvaluateSection,
    labels: Ints,
    candidate: ModelScores,
    other: ModelScores,
    own: OwnMetrics,
) -> Estimates:
    """Computes a model's lead over another one, by the same resamples of the rows."""
    models = resample_models(section, labels, {"candidate": candidate, "other": other}, own)
    return models["candidate"].lead(models["other"], own)
