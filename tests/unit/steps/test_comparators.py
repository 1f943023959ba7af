"""What a candidate is held against is chosen without a look at the test split."""

import dataclasses

import numpy as np
import pytest

from sashiko.evaluation.metrics.quality import choose_threshold
from sashiko.settings.recipe_quality import EvaluateSection
from sashiko.steps.comparators import LINEAR, fit_linear, linear_baselines
from sashiko.steps.scored_splits import Split

WORDS = ("awful", "bad", "fine", "good")


def split(rows: int, *, positive: int) -> Split:
    """Rows of four words in turn; the first `positive` of them are the label's."""
    return Split(
        keys=[f"{n:04}" for n in range(rows)],
        texts=[f"{WORDS[n % 4]} text {n}" for n in range(rows)],
        labels=np.array([int(n % 4 < positive) for n in range(rows)]),
    )


@pytest.mark.parametrize("positive", [1, 3])
def test_the_linear_baselines_threshold_comes_from_validation_alone(positive: int) -> None:
    section, train = EvaluateSection(), split(80, positive=2)
    validation, test = split(40, positive=positive), split(40, positive=2)
    flipped = dataclasses.replace(test, labels=1 - test.labels)

    scores = fit_linear(train.texts, train.labels, seed=section.seed).scores(validation.texts)
    expected = choose_threshold(validation.labels, scores, metric=section.threshold.metric)
    for of in (test, flipped):
        baselines = linear_baselines(section, train, validation, of, weights=np.ones(80))
        assert baselines[LINEAR].threshold == expected
