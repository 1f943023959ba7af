"""Compares a candidate with other models: the threshold, the baselines, metrics and leads."""

from collections.abc import Mapping

import numpy as np

from sashiko.evaluation.evaluation_record import Decision, Estimates
from sashiko.evaluation.metrics.arrays import Floats, Ints, ModelScores
from sashiko.evaluation.metrics.own_metrics import OwnMetrics
from sashiko.evaluation.metrics.quality import choose_threshold, evaluate_scores
from sashiko.evaluation.metrics.resampled import Resampled, resample
from sashiko.settings.recipe_quality import EvaluateSection, ThresholdSection
from sashiko.steps.baselines import (
    LINEAR,
    LINEAR_UNMITIGATED,
    MAJORITY_THRESHOLD,
    fit_linear,
    majority_scores,
)
from sashiko.steps.scored_splits import Split


def decide_threshold(section: ThresholdSection, labels: Ints, scores: Floats) -> Decision:
    """Chooses the decision threshold on the validation split by the recipe's policy."""
    threshold = (
        section.value
        if section.value is not None
        else choose_threshold(labels, scores, metric=section.metric)
    )
    at_threshold = evaluate_scores(labels, scores, threshold=threshold, replicates=1, seed=0)
    return Decision(
        threshold=threshold,
        policy=section.policy,
        metric=section.metric,
        validation_value=at_threshold[section.metric].value,
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
    return {
        name: _linear(section, train, validation, test, weights=row_weights)
        for name, row_weights in fits.items()
    }


def _linear(
    section: EvaluateSection, train: Split, validation: Split, test: Split, *, weights: Floats
) -> ModelScores:
    texts = validation.texts + test.texts
    model = fit_linear(train.texts, train.labels, weights=weights, seed=section.seed)
    on_validation, on_test = np.split(model.scores(texts), [len(validation.texts)])
    decision = decide_threshold(section.threshold, validation.labels, on_validation)
    return ModelScores(on_test, decision.threshold)


def resample_models(
    section: EvaluateSection, labels: Ints, models: Mapping[str, ModelScores], own: OwnMetrics
) -> dict[str, Resampled]:
    """Evaluates models on the same resamples of the rows, for their metrics and leads."""
    resampled = resample(
        labels,
        list(models.values()),
        replicates=section.bootstrap_replicates,
        seed=section.seed,
        own=own,
    )
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
