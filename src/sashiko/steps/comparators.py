"""Compares a candidate with other models: the threshold, the baselines, metrics and leads."""

from collections.abc import Mapping

import numpy as np

from sashiko.data.splits import ColumnKind
from sashiko.evaluation.evaluation_record import Decision, Estimates
from sashiko.evaluation.metrics.arrays import (
    NO_THRESHOLD,
    Floats,
    Ints,
    ModelScores,
)
from sashiko.evaluation.metrics.own_metrics import OwnMetrics
from sashiko.evaluation.metrics.quality import (
    Resampled,
    choose_threshold,
    evaluate_scores,
    resample,
)
from sashiko.settings.recipe_quality import EvaluateSection, ThresholdSection
from sashiko.steps.scored_splits import Split
from sashiko.training.linear_model import fit_coefficients, fit_features, matrix, probabilities

MAJORITY = "majority"
LINEAR = "tfidf_logistic_regression"
LINEAR_UNMITIGATED = "tfidf_logistic_regression_unmitigated"
MAJORITY_THRESHOLD = 0.5


def decide_threshold(section: ThresholdSection, labels: Ints, scores: Floats) -> Decision:
    """Chooses the decision threshold on the validation split by the recipe's policy.

    Scores have the shape (rows, classes). More than two classes have no threshold.
    """
    if scores.shape[1] > 2:
        return Decision(threshold=NO_THRESHOLD, policy="argmax")
    metric, threshold = section.metric, section.value
    if threshold is None:
        threshold = choose_threshold(labels, scores[:, 1], metric=metric)
    model = ModelScores(scores, threshold)
    value = evaluate_scores(labels, model, replicates=1, seed=0)[metric].value
    return Decision(
        threshold=threshold, policy=section.policy, metric=metric, validation_value=value
    )


def majority_baseline(train_labels: Ints, *, rows: int, classes: int) -> ModelScores:
    """Scores every row by the shares of the train split's classes: the most frequent is predicted.

    Labels are indices of classes.
    """
    shares = np.bincount(train_labels, minlength=classes) / len(train_labels)
    threshold = MAJORITY_THRESHOLD if classes == 2 else NO_THRESHOLD
    return ModelScores(np.tile(shares, (rows, 1)), threshold)


def linear_baselines(
    section: EvaluateSection,
    train: Split,
    validation: Split,
    test: Split,
    *,
    kinds: Mapping[str, ColumnKind],
    weights: Floats,
) -> dict[str, ModelScores]:
    """Fits the linear baseline with the candidate's weights and threshold policy.

    It reads numbers and categories as such, by the `kinds` of the columns: as words of a text they
    would make it a weak rival.

    Returns:
        `LINEAR`; and where the weights differ, `LINEAR_UNMITIGATED`, fitted without them.

    Raises:
        InputError: if the train split has one label only.
    """
    fits = {LINEAR: weights}
    if np.ptp(weights) > 0:
        fits[LINEAR_UNMITIGATED] = np.ones_like(weights)
    features = fit_features(train.rows, kinds)
    of_train, of_validation, of_test = (
        matrix(features, split.rows) for split in (train, validation, test)
    )
    models = {}
    for name, row_weights in fits.items():
        model = fit_coefficients(
            features, of_train, train.labels, weights=row_weights, seed=section.seed
        )
        on_validation, on_test = (
            probabilities(model.logits(rows)) for rows in (of_validation, of_test)
        )
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
