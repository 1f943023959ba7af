"""Evaluates the candidate and the linear baseline on seen and unseen text."""

from collections.abc import Sequence

import numpy as np

from sashiko.evaluation.metrics.arrays import Bools, Ints, ModelScores
from sashiko.evaluation.record import Estimates, SeenTextFigures
from sashiko.settings.quality import EvaluateSection
from sashiko.steps.baselines import word_features
from sashiko.steps.comparators import resample_models


def seen_in_train(train_texts: Sequence[str], texts: Sequence[str]) -> Bools:
    """Returns for each text whether all of its words occur in train.

    Returns:
        Shape (texts,): True where each word and each pair of adjacent words, as the linear baseline
        counts them, occurs in some train text.
    """
    features = word_features()
    train_features = {feature for text in set(train_texts) for feature in features(text)}
    return np.array([train_features.issuperset(features(text)) for text in texts], dtype=bool)


def seen_text_figures(
    section: EvaluateSection, labels: Ints, seen: Bools, candidate: ModelScores, linear: ModelScores
) -> tuple[SeenTextFigures, SeenTextFigures]:
    """Evaluates both models on the test rows whose words are all in train, and on the rest."""
    return (
        _figures(section, labels, seen, candidate, linear, seen=True),
        _figures(section, labels, ~seen, candidate, linear, seen=False),
    )


def _figures(
    section: EvaluateSection,
    labels: Ints,
    rows: Bools,
    candidate: ModelScores,
    linear: ModelScores,
    *,
    seen: bool,
) -> SeenTextFigures:
    selected = labels[rows]
    figures: dict[str, Estimates] = {"candidate": {}, "linear": {}, "lead": {}}
    if len(selected) >= section.slices.minimum_rows and len(np.unique(selected)) == 2:
        parts = {
            name: ModelScores(model.scores[rows], model.threshold)
            for name, model in {"candidate": candidate, "linear": linear}.items()
        }
        models = resample_models(section, selected, parts, {})
        figures = {name: model.estimates() for name, model in models.items()}
        figures["lead"] = models["candidate"].lead(models["linear"])
    positives = int(selected.sum())
    return SeenTextFigures(seen=seen, rows=len(selected), positives=positives, **figures)
