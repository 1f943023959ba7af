"""How the candidate and the linear baseline do on texts whose words train has, and on others."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from sashiko.evaluation.metrics.arrays import Bools, Ints
from sashiko.evaluation.metrics.quality import difference, evaluate_scores
from sashiko.evaluation.record import SeenTextFigures
from sashiko.settings.quality import EvaluateSection
from sashiko.steps.baselines import word_features
from sashiko.steps.comparators import Scored


def seen_in_train(train_texts: Sequence[str], texts: Sequence[str]) -> Bools:
    """Says of each text whether train has all of it.

    Args:
        train_texts: the train split's.
        texts: to look at.

    Returns:
        Shape (texts,): True where each word and each pair of adjacent words, as the linear baseline
        counts them, occurs in some train text.
    """
    features = word_features()
    known = {feature for text in set(train_texts) for feature in features(text)}
    return np.array([known.issuperset(features(text)) for text in texts], dtype=bool)


def seen_text_figures(
    section: EvaluateSection, labels: Ints, seen: Bools, candidate: Scored, linear: Scored
) -> tuple[SeenTextFigures, SeenTextFigures]:
    """Measures both models on the test rows that train has all words of, and on the rest.

    Args:
        section: the least rows that are judged, as of a slice, and the bootstrap.
        labels: of the test split.
        seen: `seen_in_train` of its texts.
        candidate: its scores of it, and the decision threshold.
        linear: the same of the linear baseline.

    Returns:
        The seen rows' figures and the others'.
    """
    return (
        _figures(section, labels, seen, candidate, linear, seen=True),
        _figures(section, labels, ~seen, candidate, linear, seen=False),
    )


def _figures(
    section: EvaluateSection,
    labels: Ints,
    rows: Bools,
    candidate: Scored,
    linear: Scored,
    *,
    seen: bool,
) -> SeenTextFigures:
    found = labels[rows]
    counted = SeenTextFigures(
        seen=seen, rows=len(found), positives=int(found.sum()), candidate={}, linear={}, lead={}
    )
    if len(found) < section.slices.minimum_rows or len(np.unique(found)) < 2:
        return counted
    sampling: Any = {"replicates": section.bootstrap_replicates, "seed": section.seed}
    ours, theirs = candidate.scores[rows], linear.scores[rows]
    return counted.model_copy(
        update={
            "candidate": evaluate_scores(found, ours, threshold=candidate.threshold, **sampling),
            "linear": evaluate_scores(found, theirs, threshold=linear.threshold, **sampling),
            "lead": difference(
                found,
                ours,
                theirs,
                threshold=candidate.threshold,
                other_threshold=linear.threshold,
                **sampling,
            ),
        }
    )
