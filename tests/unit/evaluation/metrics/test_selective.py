"""Selective classification, against a count row by row."""

import numpy as np
import pytest
from scipy import special, stats

from sashiko.evaluation.metrics.arrays import ModelScores
from sashiko.evaluation.metrics.selective import choose_abstention, measure_selective
from sashiko.settings.recipe_quality import SELECTIVE_METRICS


def rows(*, digits: int | None = None, count: int = 700):
    generator = np.random.default_rng(3)
    labels = generator.integers(0, 4, count)
    logits = generator.normal(0, 1, (count, 4))
    logits[np.arange(count), labels] += 1.3
    scores = special.softmax(logits, axis=1)
    return labels, scores if digits is None else np.round(scores, digits)


@pytest.mark.parametrize("digits", [None, 1], ids=["distinct scores", "many ties"])
def test_coverage_accuracy_and_area_equal_a_count_of_the_rows(digits: int | None) -> None:
    labels, scores = rows(digits=digits)
    sure, right = scores.max(axis=1), scores.argmax(axis=1) == labels
    measured = measure_selective(labels, ModelScores(scores, 0.6), replicates=300, seed=0)
    answered = sure >= 0.6
    shares = {"coverage": answered, "selective_accuracy": right[answered]}
    for name, part in shares.items():
        ends = stats.binomtest(int(part.sum()), len(part)).proportion_ci(method="wilson")
        estimate = measured.metrics[name]
        expected = (part.mean(), ends.low, ends.high)
        assert (estimate.value, estimate.low, estimate.high) == pytest.approx(expected)
    assert tuple(measured.metrics) == SELECTIVE_METRICS
    area = measured.metrics["aurc"]
    assert area.value == pytest.approx(np.mean([1 - right[sure >= each].mean() for each in sure]))
    drawn = np.random.default_rng(1).integers(0, len(sure), (300, len(sure)))
    areas = [np.mean([(~right[d])[sure[d] >= each].mean() for each in sure[d]]) for d in drawn[:60]]
    deviation = np.std(areas)
    assert area.high - area.low == pytest.approx(2 * 1.96 * deviation, rel=0.35)
    assert [share.value for share in measured.classes] == pytest.approx(
        [answered[labels == index].mean() for index in range(4)]
    )
    for point in measured.curve:
        kept = sure >= point.threshold
        assert (point.coverage, point.accuracy.value) == pytest.approx(
            (kept.mean(), right[kept].mean())
        )
    coverages = [point.coverage for point in measured.curve]
    assert coverages == sorted(coverages)
    assert coverages[-1] == 1
    assert len(coverages) == 20 or digits is not None


def test_without_answers_the_accuracy_is_undefined_and_the_coverage_is_not() -> None:
    labels, scores = rows()
    figures = measure_selective(labels, ModelScores(scores, 1.0), replicates=100, seed=0).metrics
    assert figures["coverage"].value == 0
    assert figures["coverage"].high == pytest.approx(
        stats.binomtest(0, len(labels)).proportion_ci(method="wilson").high
    )
    assert figures["selective_accuracy"].value is None


@pytest.mark.parametrize("digits", [None, 1], ids=["distinct scores", "many ties"])
@pytest.mark.parametrize("accuracy", [0.8, 0.9])
def test_the_threshold_answers_as_many_rows_as_the_accuracy_allows(digits, accuracy) -> None:
    labels, scores = rows(digits=digits)
    sure, right = scores.max(axis=1), scores.argmax(axis=1) == labels
    reached = {
        int((sure >= at).sum()): right[sure >= at].mean() for at in sure if (sure >= at).sum() >= 30
    }
    most = max(count for count, share in reached.items() if share >= accuracy)
    chosen = choose_abstention(labels, scores, accuracy=accuracy)
    assert (sure >= chosen).sum() == most < len(sure)
    assert chosen not in sure


def test_an_accuracy_that_all_rows_have_leaves_none_out_and_one_that_none_has_is_neared() -> None:
    labels, scores = rows()
    assert choose_abstention(labels, scores, accuracy=0.1) == 0
    wrong = (scores.argmax(axis=1) + 1) % 4
    wrong[np.argsort(-scores.max(axis=1))[10:40]] = labels[0]
    sure, right = scores.max(axis=1), scores.argmax(axis=1) == wrong
    chosen = choose_abstention(wrong, scores, accuracy=0.99)
    best = max(right[sure >= at].mean() for at in sure if (sure >= at).sum() >= 30)
    assert right[sure >= chosen].mean() == best
    assert (sure >= chosen).sum() >= 30
