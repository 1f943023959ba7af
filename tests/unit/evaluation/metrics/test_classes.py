"""Metrics of more than two classes, against scikit-learn and against plain loops."""

import numpy as np
import pytest
from scipy import special, stats
from sklearn import metrics as oracle

from sashiko.evaluation.metrics.arrays import (
    ModelScores,
    favourable_scores,
    predict_classes,
    two_classes,
)
from sashiko.evaluation.metrics.calibration import without_temperature
from sashiko.evaluation.metrics.classes import ScoredClasses, class_rates
from sashiko.evaluation.metrics.quality import (
    CLASS_SLICE_METRICS,
    LOWER_IS_BETTER,
    NUMBER_SLICE_METRICS,
    SLICE_METRICS,
    confusion_matrix,
    difference,
    evaluate_scores,
    resample,
    slice_estimates,
)
from sashiko.settings.recipe_quality import (
    BINARY_METRICS,
    CLASS_METRICS,
    NUMBER_METRICS,
    SliceMetric,
)

SAMPLING = {"replicates": 300, "seed": 0}


def scored_rows(*, classes: int = 4, rows: int = 900, seed: int = 0, digits: int | None = None):
    """Labels with unequal shares, and scores that know something about them."""
    generator = np.random.default_rng(seed)
    shares = np.arange(1, classes + 1) / np.arange(1, classes + 1).sum()
    labels = generator.choice(classes, rows, p=shares)
    logits = generator.normal(0, 1, (rows, classes))
    logits[np.arange(rows), labels] += 1.2
    scores = special.softmax(logits, axis=1)
    if digits is not None:
        scores = np.round(scores, digits)
        scores /= scores.sum(axis=1, keepdims=True)
    return labels, ModelScores(scores, 0.0)


def calibration_error(outcomes, scores) -> float:
    """The definition, bin by bin: 15 bins of equal mass, in which equal scores stay together."""
    ranks = stats.rankdata(scores, method="min") + stats.rankdata(scores, method="max") - 1
    bins = (ranks * 15 // (2 * len(scores))).astype(int)
    gaps = (
        (bins == each).mean() * abs(outcomes[bins == each].mean() - scores[bins == each].mean())
        for each in np.unique(bins)
    )
    return sum(gaps)


@pytest.mark.parametrize("classes", [3, 4, 7])
@pytest.mark.parametrize("digits", [None, 2], ids=["distinct scores", "many ties"])
def test_values_equal_those_of_scikit_learn(classes: int, digits: int | None) -> None:
    labels, model = scored_rows(classes=classes, digits=digits)
    measured = {k: v.value for k, v in evaluate_scores(labels, model, **SAMPLING).items()}
    predicted, every = model.scores.argmax(axis=1), range(classes)
    recalls = oracle.recall_score(labels, predicted, average=None)
    expected = {
        "accuracy": oracle.accuracy_score(labels, predicted),
        "balanced_accuracy": oracle.balanced_accuracy_score(labels, predicted),
        "macro_f1": oracle.f1_score(labels, predicted, average="macro"),
        "worst_class_recall": min(recalls),
        "log_loss": oracle.log_loss(labels, model.scores, labels=every),
        "brier_score": oracle.brier_score_loss(labels, model.scores, labels=every),
        "expected_calibration_error": calibration_error(
            predicted == labels, model.scores.max(axis=1)
        ),
        "classwise_calibration_error": np.mean(
            [calibration_error(labels == index, model.scores[:, index]) for index in every]
        ),
    }
    if digits is None:  # of ties, scikit-learn takes the last ones
        expected["top_2_accuracy"] = oracle.top_k_accuracy_score(labels, model.scores, k=2)
        top_k = classes - 1
        (other,) = resample(labels, [model], replicates=10, seed=0, top_k=top_k)
        value = other.estimates()[f"top_{top_k}_accuracy"].value
        assert value == pytest.approx(oracle.top_k_accuracy_score(labels, model.scores, k=top_k))
        assert len(other.estimates()) == len(measured)
    assert measured.keys() == {*CLASS_METRICS, "top_2_accuracy"}
    for name, value in expected.items():
        assert measured[name] == pytest.approx(value), name
    assert confusion_matrix(labels, model).tolist() == (
        oracle.confusion_matrix(labels, predicted).tolist()
    )


def test_the_class_of_the_highest_score_is_predicted_and_of_two_that_of_the_threshold() -> None:
    scores = np.array([[0.4, 0.4, 0.2], [0.2, 0.4, 0.4], [1 / 3, 1 / 3, 1 / 3]])
    model = ModelScores(scores, 0.0)
    assert model.predicted.tolist() == [0, 1, 0]
    measured = evaluate_scores(np.array([1, 2, 2]), model, **SAMPLING)
    assert measured["top_2_accuracy"].value == pytest.approx(2 / 3)

    assert predict_classes(two_classes(np.array([0.2, 0.3])), threshold=0.3).tolist() == [0, 1]
    many = np.array([[0.4, 0.35, 0.25]])
    assert predict_classes(many, threshold=0.3).tolist() == [0]
    assert favourable_scores(many, first=1) == pytest.approx([0.6])


def test_the_worst_recall_has_wilsons_interval_and_small_classes_do_not_count() -> None:
    """Class 0 has 29 rows, all wrong; class 1 has 40, of which 10 are right."""
    labels = np.repeat([0, 1, 2], [29, 40, 60])
    predicted = np.repeat([2, 1, 2], [29, 10, 90])
    model = ModelScores(np.eye(3)[predicted] * 0.8 + 0.2 / 3, 0.0)
    worst = evaluate_scores(labels, model, **SAMPLING)["worst_class_recall"]
    wilson = stats.binomtest(10, 40).proportion_ci(method="wilson")
    assert (worst.value, worst.low, worst.high) == pytest.approx((0.25, wilson.low, wilson.high))
    rates = class_rates(labels, model)
    assert [rate.judged for rate in rates] == [False, True, True]
    assert [(rate.rows, rate.predicted) for rate in rates] == [(29, 0), (40, 10), (60, 119)]
    few = evaluate_scores(labels[:50], ModelScores(model.scores[:50], 0.0), **SAMPLING)
    assert few["worst_class_recall"].value is None


def test_a_class_without_rows_counts_for_no_mean_as_in_scikit_learn() -> None:
    labels, model = scored_rows(classes=4)
    rows = labels != 2
    labels, model = labels[rows], ModelScores(model.scores[rows], 0.0)
    measured = evaluate_scores(labels, model, **SAMPLING)
    predicted = model.scores.argmax(axis=1)
    with pytest.warns(UserWarning, match="y_pred contains classes not in y_true"):
        expected = oracle.balanced_accuracy_score(labels, predicted)
    assert measured["balanced_accuracy"].value == pytest.approx(expected)
    macro = oracle.f1_score(labels, predicted, average="macro")
    assert measured["macro_f1"].value == pytest.approx(macro)


def test_weighted_rows_have_the_metrics_of_repeated_rows() -> None:
    """A resample is a weighting: the intervals rest on it."""
    labels, model = scored_rows(rows=120)
    times = np.random.default_rng(3).integers(0, 4, 120)
    again = np.repeat(np.arange(120), times)
    weighted = ScoredClasses.of(labels, model).metrics(times[None].astype(np.float64))
    repeated = evaluate_scores(labels[again], ModelScores(model.scores[again], 0.0), **SAMPLING)
    for name in ("accuracy", "balanced_accuracy", "macro_f1", "log_loss", "brier_score"):
        assert weighted[name][0] == pytest.approx(repeated[name].value), name


def test_a_lead_is_above_zero_where_the_first_is_better_in_every_metric() -> None:
    labels, model = scored_rows(rows=3000)
    vague = ModelScores(np.full_like(model.scores, 0.25) * 0.9 + model.scores[::-1] * 0.1, 0.0)
    for name, lead in difference(labels, model, vague, **SAMPLING).items():
        if "calibration" not in name:
            assert 0 < lead.low <= lead.value <= lead.high, name
    assert {"log_loss", "brier_score"} < LOWER_IS_BETTER


def test_a_slice_of_worse_rows_lies_below_all_rows() -> None:
    labels, model = scored_rows(rows=2000)
    bad = np.arange(2000) < 500
    mixed = np.where(bad[:, None], model.scores[::-1], model.scores)
    (part,) = slice_estimates(labels, ModelScores(mixed, 0.0), [bad], **SAMPLING)
    assert part.metrics.keys() == set(CLASS_SLICE_METRICS)
    assert all(lead.high < 0 for lead in part.differences.values())
    alone = evaluate_scores(labels[bad], ModelScores(mixed[bad], 0.0), **SAMPLING)
    assert part.metrics["macro_f1"].value == pytest.approx(alone["macro_f1"].value)


def test_a_temperature_is_taken_out_of_the_scores_of_many_classes() -> None:
    logits = np.random.default_rng(0).normal(0, 3, (50, 5))
    scaled = special.softmax(logits / 2.5, axis=1)
    unscaled = without_temperature(scaled, 2.5)
    assert unscaled == pytest.approx(special.softmax(logits, axis=1), rel=1e-9)
    sure = np.array([[1.0, 0.0, 0.0]])
    assert without_temperature(sure, 2.5).tolist() == [[1, 0, 0]]
    assert without_temperature(two_classes(np.array([0.0, 1.0])), 2.5)[:, 1].tolist() == [0, 1]


def test_a_recipe_can_name_what_is_computed_and_nothing_else() -> None:
    labels, model = scored_rows(rows=60)
    several = {*CLASS_METRICS, "top_2_accuracy"}
    assert several == evaluate_scores(labels, model, **SAMPLING).keys()
    binary = ModelScores(two_classes(model.scores[:, 1]), 0.5)
    assert set(BINARY_METRICS) == evaluate_scores((labels == 1) * 1, binary, **SAMPLING).keys()
    number = ModelScores(model.scores[:, :1], 0.5, half_width=1.0)
    assert set(NUMBER_METRICS) == evaluate_scores(labels * 1.0, number, **SAMPLING).keys()
    of_slices = {*SLICE_METRICS, *CLASS_SLICE_METRICS, *NUMBER_SLICE_METRICS}
    assert set(SliceMetric.__args__) == of_slices - {"mean_error"}
