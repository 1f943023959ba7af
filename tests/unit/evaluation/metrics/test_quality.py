import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as oracle

from sashiko.evaluation.metrics.arrays import ModelScores
from sashiko.evaluation.metrics.quality import (
    METRICS,
    SLICE_METRICS,
    Confusion,
    Scored,
    choose_threshold,
    confusion,
    counted_quality,
    difference,
    evaluate_scores,
    resample,
    slice_estimates,
)
from sashiko.evaluation.metrics.uncertainty import Estimate, standing


def scored_rows(seed: int, *, rows: int = 400, digits: int | None = None):
    generator = np.random.default_rng(seed)
    labels = (generator.random(rows) < 0.4).astype(np.int64)
    scores = np.clip(0.25 * labels + 0.75 * generator.random(rows), 0, 1)
    return labels, scores if digits is None else np.round(scores, digits)


@pytest.mark.parametrize("digits", [None, 1], ids=["distinct scores", "many ties"])
def test_values_equal_those_of_scikit_learn(digits: int | None) -> None:
    labels, scores = scored_rows(1, digits=digits)
    measured = evaluate_scores(labels, scores, threshold=0.55, replicates=100, seed=0)
    predicted = scores >= 0.55
    for name in ("accuracy", "balanced_accuracy", "f1", "precision", "recall"):
        expected = getattr(oracle, f"{name}_score")(labels, predicted)
        assert measured[name].value == pytest.approx(expected), name
    for name, function in (
        ("auc", oracle.roc_auc_score),
        ("average_precision", oracle.average_precision_score),
        ("brier_score", oracle.brier_score_loss),
    ):
        assert measured[name].value == pytest.approx(function(labels, scores)), name


@pytest.mark.parametrize("digits", [None, 1], ids=["distinct scores", "many ties"])
def test_average_precision_of_weighted_rows_equals_that_of_scikit_learn(digits: int | None) -> None:
    labels, scores = scored_rows(6, digits=digits)
    weights = np.random.default_rng(0).integers(0, 3, (5, len(labels))).astype(np.float64)
    measured = Scored.of(labels, scores, threshold=0.5).metrics(weights)["average_precision"]
    expected = [oracle.average_precision_score(labels, scores, sample_weight=w) for w in weights]
    assert measured == pytest.approx(expected)


def test_without_a_positive_prediction_precision_is_undefined() -> None:
    labels, scores = scored_rows(7)
    measured = evaluate_scores(labels, scores / 10, threshold=0.5, replicates=100, seed=0)
    assert (measured["precision"].value, measured["recall"].value) == (None, 0.0)


def test_an_interval_is_that_of_drawing_rows_again_and_again() -> None:
    labels, scores = scored_rows(2, rows=200)
    slow = []
    for rows in np.random.default_rng(3).integers(0, 200, size=(2000, 200)):
        positive, negative = scores[rows][labels[rows] == 1], scores[rows][labels[rows] == 0]
        wins = positive[:, None] > negative
        slow.append((wins + (positive[:, None] == negative) / 2).mean())
    measured = evaluate_scores(labels, scores, threshold=0.5, replicates=4000, seed=0)["auc"]
    assert [measured.low, measured.high] == pytest.approx(
        np.quantile(slow, [0.025, 0.975]), abs=0.006
    )


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), rows=st.integers(2, 60))
def test_values_stay_in_range_and_do_not_depend_on_the_order_of_rows(seed: int, rows: int) -> None:
    labels, scores = scored_rows(seed, rows=rows, digits=2)
    order = np.random.default_rng(seed).permutation(rows)
    one = evaluate_scores(labels, scores, threshold=0.5, replicates=100, seed=0)
    other = evaluate_scores(labels[order], scores[order], threshold=0.5, replicates=100, seed=0)
    for name in METRICS:
        if one[name].value is None:
            assert other[name].value is None
        else:
            assert 0 <= one[name].value <= 1
            assert one[name].value == pytest.approx(other[name].value)


def test_without_a_second_label_auc_is_undefined_and_not_a_number_made_up() -> None:
    labels, scores = np.ones(20, dtype=np.int64), np.linspace(0, 1, 20)
    measured = evaluate_scores(labels, scores, threshold=0.5, replicates=100, seed=0)
    assert (measured["auc"].value, measured["auc"].low) == (None, None)
    assert measured["accuracy"].value == pytest.approx(0.5)


def test_a_lead_is_paired_and_positive_where_the_first_is_better() -> None:
    labels, scores = scored_rows(5)
    worse = np.clip(scores + np.random.default_rng(0).normal(0, 0.15, len(scores)), 0, 1)
    options = {"threshold": 0.5, "other_threshold": 0.5, "replicates": 500, "seed": 0}
    lead = difference(labels, scores, worse, **options)
    back = difference(labels, worse, scores, **options)
    one = evaluate_scores(labels, scores, threshold=0.5, replicates=500, seed=0)
    two = evaluate_scores(labels, worse, threshold=0.5, replicates=500, seed=0)
    assert lead["auc"].value == pytest.approx(one["auc"].value - two["auc"].value)
    assert back["auc"].low == pytest.approx(-lead["auc"].high)
    unpaired = (one["auc"].high - one["auc"].low) + (two["auc"].high - two["auc"].low)
    assert lead["auc"].high - lead["auc"].low < 0.7 * unpaired
    assert lead["expected_calibration_error"].value == pytest.approx(
        two["expected_calibration_error"].value - one["expected_calibration_error"].value
    )


def test_models_evaluated_together_have_the_figures_that_they_have_alone() -> None:
    labels, scores = scored_rows(8)
    constant = np.full(len(labels), 0.4)
    models = [ModelScores(scores, 0.5), ModelScores(scores**2, 0.3), ModelScores(constant, 0.5)]
    sampling = {"replicates": 100, "seed": 2}
    together = resample(labels, models, **sampling)
    for model, resampled in zip(models, together, strict=True):
        alone = evaluate_scores(labels, model.scores, threshold=model.threshold, **sampling)
        assert resampled.estimates() == alone
        assert resampled.lead(resampled)["brier_score"].text == "0.000 [0.000, 0.000]"
    assert together[0].lead(together[2]) == difference(
        labels, scores, constant, threshold=0.5, other_threshold=0.5, **sampling
    )


@pytest.mark.parametrize("metric", ["accuracy", "balanced_accuracy", "f1"])
def test_the_chosen_threshold_is_the_best_of_all(metric) -> None:
    labels, scores = scored_rows(6, rows=150, digits=2)
    chosen = choose_threshold(labels, scores, metric=metric)
    qualities = [
        evaluate_scores(labels, scores, threshold=candidate, replicates=100, seed=0)[metric].value
        for candidate in (chosen, *np.linspace(0.005, 0.995, 100))
    ]
    assert qualities[0] == pytest.approx(max(qualities))
    assert 0 < chosen < 1


def test_of_equally_good_thresholds_the_one_nearest_to_a_half_is_chosen() -> None:
    labels = np.array([0, 0, 1, 1], dtype=np.int64)
    assert choose_threshold(labels, np.array([0.1, 0.1, 0.9, 0.9]), metric="f1") == 0.5
    # 3 of 4 right at .075 and at .5
    scores = np.array([0.05, 0.45, 0.1, 0.55])
    assert choose_threshold(labels, scores, metric="accuracy") == 0.5
    # 3 of 4 right at .2 and at .8, which are equally near
    scores = np.array([0.0, 0.6, 0.4, 1.0])
    assert choose_threshold(labels, scores, metric="accuracy") == pytest.approx(0.2)


def test_confusion_counts_a_score_at_the_threshold_as_positive() -> None:
    counts = confusion(np.array([1, 0, 1, 0]), np.array([0.5, 0.5, 0.4, 0.4]), threshold=0.5)
    assert (counts.true_positives, counts.false_positives) == (1, 1)
    assert (counts.false_negatives, counts.true_negatives) == (1, 1)


OPTIONS = {"threshold": 0.5, "replicates": 400, "seed": 0}


def rows_with_a_bad_part(rows: int = 1200):
    generator = np.random.default_rng(0)
    labels = generator.integers(0, 2, rows)
    bad = np.arange(rows) % 6 == 0
    right = generator.random(rows) < np.where(bad, 0.55, 0.85)
    scores = np.where((labels == 1) == right, 0.7, 0.3) + generator.uniform(-0.1, 0.1, rows)
    return labels, scores, bad


def test_a_slice_has_the_metrics_of_its_rows_alone() -> None:
    labels, scores, bad = rows_with_a_bad_part()
    (estimates,) = slice_estimates(labels, scores, [bad], **OPTIONS)
    alone = evaluate_scores(labels[bad], scores[bad], **OPTIONS)
    whole = evaluate_scores(labels, scores, **OPTIONS)
    for name in SLICE_METRICS:
        assert estimates.metrics[name].value == pytest.approx(alone[name].value)
        apart = alone[name].value - whole[name].value
        expected = -apart if name == "brier_score" else apart
        assert estimates.differences[name].value == pytest.approx(expected)


def test_a_planted_bad_slice_lies_below_all_rows_and_an_equal_one_does_not() -> None:
    labels, scores, bad = rows_with_a_bad_part()
    even = np.arange(1200) % 2 == 0  # holds bad rows: half of it, as many as it should by 1 in 6
    like_all = (np.arange(1200) // 6) % 2 == 0
    worse, _, same = slice_estimates(labels, scores, [bad, even, like_all], **OPTIONS)
    for name in SLICE_METRICS:
        assert worse.differences[name].high < 0, name
        assert same.differences[name].low < 0 < same.differences[name].high, name


def test_the_interval_of_a_difference_counts_that_the_whole_holds_the_slice() -> None:
    labels, scores, bad = rows_with_a_bad_part()
    most = ~bad
    (estimates,) = slice_estimates(labels, scores, [most], **OPTIONS)
    apart, own = estimates.differences["accuracy"], estimates.metrics["accuracy"]
    assert apart.high - apart.low < 0.7 * (own.high - own.low)


def test_a_slice_of_one_label_has_no_auc_and_still_an_accuracy() -> None:
    labels, scores, _ = rows_with_a_bad_part()
    (estimates,) = slice_estimates(labels, scores, [labels == 1], **OPTIONS)
    assert estimates.metrics["auc"].value is None
    assert estimates.differences["auc"].value is None
    assert estimates.metrics["accuracy"].value is not None


@pytest.mark.parametrize(
    ("low", "high", "minimum", "word"),
    [
        (0.02, 0.04, 0.01, "better"),
        (0.005, 0.04, 0.01, "no worse"),  # surely a lead, and not surely one that matters
        (-0.004, 0.04, 0.01, "no worse"),
        (-0.004, -0.001, 0.01, "no worse"),
        (-0.02, 0.04, 0.01, "not shown to be better"),
        (-0.02, -0.001, 0.01, "worse"),
        (0.0, 0.0, 0.0, "not shown to be better"),
        (None, None, 0.0, "undefined"),
    ],
)
def test_a_lead_is_described_in_words_that_its_interval_bears_out(low, high, minimum, word) -> None:
    assert standing(Estimate(value=0.01, low=low, high=high), minimum_effect=minimum) == word


SAMPLING = {"replicates": 4000, "seed": 1}


@pytest.mark.parametrize("always_positive", [False, True])
def test_counts_give_what_rows_give(always_positive: bool) -> None:
    labels, scores = scored_rows(3, rows=900)
    quality = counted_quality(
        confusion(labels, scores, threshold=0.5), always_positive=always_positive, **SAMPLING
    )
    rows = evaluate_scores(labels, scores, threshold=0.5, **SAMPLING)
    alike = np.full(len(labels), float(always_positive))
    leads = difference(labels, scores, alike, threshold=0.5, other_threshold=0.5, **SAMPLING)
    for ours, theirs in ((quality.metrics, rows), (quality.leads, leads)):
        assert set(ours) == {"accuracy", "balanced_accuracy", "precision", "recall", "f1"}
        for name, item in ours.items():
            assert item.value == pytest.approx(theirs[name].value, abs=1e-12)
            assert item.low == pytest.approx(theirs[name].low, abs=0.006)
            assert item.high == pytest.approx(theirs[name].high, abs=0.006)


def test_what_one_label_leaves_undefined_has_no_value() -> None:
    counted = Confusion(true_positives=0, false_positives=3, false_negatives=0, true_negatives=5)
    quality = counted_quality(counted, always_positive=False, **SAMPLING)
    assert quality.metrics["accuracy"].value == 5 / 8
    assert quality.metrics["balanced_accuracy"].value is None
