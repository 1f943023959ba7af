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
    Truth,
)
from sashiko.evaluation.metrics.calibration import share_estimate
from sashiko.evaluation.metrics.own_metrics import OwnMetrics
from sashiko.evaluation.metrics.quality import (
    Resampled,
    choose_threshold,
    evaluate_scores,
    resample,
)
from sashiko.evaluation.metrics.selective import choose_abstention
from sashiko.serving.container.number import Number
from sashiko.settings.recipe_quality import (
    CLASS_BASELINES,
    NUMBER_BASELINES,
    AbstainSection,
    EvaluateSection,
    ThresholdSection,
)
from sashiko.steps.scored_splits import Split
from sashiko.training.linear_model import (
    fit_coefficients,
    fit_features,
    fit_ridge,
    matrix,
    probabilities,
)

MAJORITY, LINEAR = CLASS_BASELINES
MEAN, RIDGE = NUMBER_BASELINES
UNMITIGATED = "_unmitigated"  # after the name of a linear baseline
MAJORITY_THRESHOLD = 0.5


def decide_threshold(
    section: ThresholdSection,
    labels: Ints,
    scores: Floats,
    *,
    number: Number | None = None,
    abstain: AbstainSection | None = None,
) -> Decision:
    """Chooses the decision threshold on the validation split by the recipe's policy.

    Scores have the shape (rows, classes). More than two classes have no threshold but that of the
    policy `abstain`, and a number has its bound.
    """
    if number is not None:
        return Decision(threshold=number.above, policy="bound")
    if abstain is not None:
        threshold = abstain.below
        if threshold is None:
            threshold = choose_abstention(labels, scores, accuracy=abstain.accuracy or 0.0)
        model = ModelScores(scores, threshold)
        right = share_estimate((model.predicted == labels)[model.answered]).value
        return Decision(threshold=threshold, policy="abstain", validation_value=right)
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
    number: Number | None = None,
) -> dict[str, ModelScores]:
    """Fits the linear baseline with the candidate's weights and threshold policy.

    It reads numbers and categories as such, by the `kinds` of the columns: as words of a text they
    would make it a weak rival. `number` is the scale of a label that is a number.

    Returns:
        `LINEAR`, or `RIDGE` of a number; and where the weights differ, one with the name's suffix
        `UNMITIGATED`, fitted without them.

    Raises:
        InputError: if the train split has one label only.
    """
    linear = LINEAR if number is None else RIDGE
    fits = {linear: weights}
    if np.ptp(weights) > 0:
        fits[f"{linear}{UNMITIGATED}"] = np.ones_like(weights)
    features = fit_features(train.rows, kinds)
    of_train, of_validation, of_test = (
        matrix(features, split.rows) for split in (train, validation, test)
    )
    models = {}
    for name, row_weights in fits.items():
        if number is not None and train.values is not None:
            targets = (train.values - number.mean) / number.scale
            model = fit_ridge(features, of_train, targets, weights=row_weights)
            predicted = number.mean + number.scale * model.logits(of_test)
            models[name] = ModelScores(predicted, number.above)
            continue
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
    section: EvaluateSection, truth: Truth, models: Mapping[str, ModelScores], own: OwnMetrics
) -> dict[str, Resampled]:
    """Evaluates models on the same resamples of the rows, for their metrics and leads."""
    replicates, seed = section.bootstrap_replicates, section.seed
    resampled = resample(
        truth, [*models.values()], replicates=replicates, seed=seed, own=own, top_k=section.top_k
    )
    return dict(zip(models, resampled, strict=True))


def model_metrics(
    section: EvaluateSection, truth: Truth, model: ModelScores, own: OwnMetrics
) -> Estimates:
    """Computes a model's metrics with their intervals."""
    return resample_models(section, truth, {"model": model}, own)["model"].estimates()


def model_lead(
    section: EvaluateSection,
    truth: Truth,
    candidate: ModelScores,
    other: ModelScores,
    own: OwnMetrics,
) -> Estimates:
    """Computes a model's lead over another one, by the same resamples of the rows."""
    models = resample_models(section, truth, {"candidate": candidate, "other": other}, own)
    return models["candidate"].lead(models["other"], own)
