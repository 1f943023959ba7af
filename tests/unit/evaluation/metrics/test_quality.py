from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize, special
from sklearn import metrics as oracle

from sashiko.evaluation.metrics.arrays import ModelScores, two_classes
from sashiko.evaluation.metrics.calibration import (
    error_by_chance,
    excess_flip_rate,
    fit_temperature,
    reliability_curve,
    share_estimate,
)
from sashiko.evaluation.metrics.quality import (
    SLICE_METRICS,
    Scored,
    choose_threshold,
    confusion,
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


def binary(scores: np.ndarray, threshold: float = 0.5) -> ModelScores:
    return ModelScores(two_classes(scores), threshold)


@pytest.mark.parametrize("digits", [None, 1], ids=["distinct scores", "many ties"])
def test_values_equal_those_of_scikit_learn(digits: int | None) -> None:
    labels, scores = scored_rows(1, digits=digits)
    measured = evaluate_scores(labels, binary(scores, 0.55), replicates=100, seed=0)
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


def test_what_no_row_predicts_or_one_label_leaves_is_undefined() -> None:
    labels, scores = scored_rows(7)
    measured = evaluate_scores(labels, binary(scores / 10), replicates=100, seed=0)
    assert (measured["precision"].value, measured["recall"].value) == (None, 0.0)

    labels, scores = np.ones(20, dtype=np.int64), np.linspace(0, 1, 20)
    measured = evaluate_scores(labels, binary(scores), replicates=100, seed=0)
    assert (measured["auc"].value, measured["auc"].low) == (None, None)
    assert measured["accuracy"].value == pytest.approx(0.5)
    assert measured["balanced_accuracy"].value is None


def test_an_interval_is_that_of_drawing_rows_again_and_again() -> None:
    labels, scores = scored_rows(2, rows=200)
    slow = []
    for rows in np.random.default_rng(3).integers(0, 200, size=(2000, 200)):
        positive, negative = scores[rows][labels[rows] == 1], scores[rows][labels[rows] == 0]
        wins = positive[:, None] > negative
        slow.append((wins + (positive[:, None] == negative) / 2).mean())
    measured = evaluate_scores(labels, binary(scores), replicates=4000, seed=0)["auc"]
    assert [measured.low, measured.high] == pytest.approx(
        np.quantile(slow, [0.025, 0.975]), abs=0.006
    )


def test_a_lead_is_paired_and_positive_where_the_first_is_better() -> None:
    labels, scores = scored_rows(5)
    worse = np.clip(scores + np.random.default_rng(0).normal(0, 0.15, len(scores)), 0, 1)
    options = {"replicates": 500, "seed": 0}
    lead = difference(labels, binary(scores), binary(worse), **options)
    back = difference(labels, binary(worse), binary(scores), **options)
    one = evaluate_scores(labels, binary(scores), replicates=500, seed=0)
    two = evaluate_scores(labels, binary(worse), replicates=500, seed=0)
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
    models = [binary(scores), binary(scores**2, 0.3), binary(constant)]
    sampling = {"replicates": 100, "seed": 2}
    together = resample(labels, models, **sampling)
    for model, resampled in zip(models, together, strict=True):
        alone = evaluate_scores(labels, model, **sampling)
        assert resampled.estimates() == alone
        assert resampled.lead(resampled)["brier_score"].text == "0.000 [0.000, 0.000]"
    assert together[0].lead(together[2]) == difference(labels, models[0], models[2], **sampling)


@pytest.mark.parametrize("metric", ["accuracy", "balanced_accuracy", "f1"])
def test_the_chosen_threshold_is_the_best_of_all(metric) -> None:
    labels, scores = scored_rows(6, rows=150, digits=2)
    chosen = choose_threshold(labels, scores, metric=metric)
    qualities = [
        evaluate_scores(labels, binary(scores, candidate), replicates=100, seed=0)[metric].value
        for candidate in (chosen, *np.linspace(0.005, 0.995, 100))
    ]
    assert qualities[0] == pytest.approx(max(qualities))
    assert 0 < chosen < 1


def test_a_score_at_the_threshold_counts_as_positive_and_the_nearest_to_a_half_is_chosen() -> None:
    labels = np.array([0, 0, 1, 1], dtype=np.int64)
    assert choose_threshold(labels, np.array([0.1, 0.1, 0.9, 0.9]), metric="f1") == 0.5
    # 3 of 4 right at .075 and at .5
    scores = np.array([0.05, 0.45, 0.1, 0.55])
    assert choose_threshold(labels, scores, metric="accuracy") == 0.5
    # 3 of 4 right at .2 and at .8, which are equally near
    scores = np.array([0.0, 0.6, 0.4, 1.0])
    assert choose_threshold(labels, scores, metric="accuracy") == pytest.approx(0.2)
    counts = confusion(np.array([1, 0, 1, 0]), binary(np.array([0.5, 0.5, 0.4, 0.4])))
    assert (counts.true_positives, counts.false_positives) == (1, 1)
    assert (counts.false_negatives, counts.true_negatives) == (1, 1)


OPTIONS = {"replicates": 400, "seed": 0}


def rows_with_a_bad_part(rows: int = 1200):
    generator = np.random.default_rng(0)
    labels = generator.integers(0, 2, rows)
    bad = np.arange(rows) % 6 == 0
    right = generator.random(rows) < np.where(bad, 0.55, 0.85)
    scores = np.where((labels == 1) == right, 0.7, 0.3) + generator.uniform(-0.1, 0.1, rows)
    return labels, scores, bad


def test_a_slice_has_the_metrics_of_its_rows_alone() -> None:
    labels, scores, bad = rows_with_a_bad_part()
    (estimates,) = slice_estimates(labels, binary(scores), [bad], **OPTIONS)
    alone = evaluate_scores(labels[bad], binary(scores[bad]), **OPTIONS)
    whole = evaluate_scores(labels, binary(scores), **OPTIONS)
    for name in SLICE_METRICS:
        assert estimates.metrics[name].value == pytest.approx(alone[name].value)
        apart = alone[name].value - whole[name].value
        expected = -apart if name == "brier_score" else apart
        assert estimates.differences[name].value == pytest.approx(expected)


def test_a_planted_bad_slice_lies_below_all_rows_and_an_equal_one_does_not() -> None:
    labels, scores, bad = rows_with_a_bad_part()
    even = np.arange(1200) % 2 == 0  # holds bad rows: half of it, as many as it should by 1 in 6
    like_all = (np.arange(1200) // 6) % 2 == 0
    worse, _, same = slice_estimates(labels, binary(scores), [bad, even, like_all], **OPTIONS)
    for name in SLICE_METRICS:
        assert worse.differences[name].high < 0, name
        assert same.differences[name].low < 0 < same.differences[name].high, name


def test_a_slice_is_compared_with_the_whole_that_holds_it_and_may_lack_an_auc() -> None:
    labels, scores, bad = rows_with_a_bad_part()
    most = ~bad
    (estimates,) = slice_estimates(labels, binary(scores), [most], **OPTIONS)
    apart, own = estimates.differences["accuracy"], estimates.metrics["accuracy"]
    assert apart.high - apart.low < 0.7 * (own.high - own.low)

    labels, scores, _ = rows_with_a_bad_part()
    (estimates,) = slice_estimates(labels, binary(scores), [labels == 1], **OPTIONS)
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


def drawn(seed: int, *, rows: int = 3000, temperature: float = 1.0):
    """Labels drawn from calibrated margins, and those margins scaled by a factor."""
    generator = np.random.default_rng(seed)
    margins = generator.normal(0, 1.5, rows)
    labels = (generator.random(rows) < special.expit(margins)).astype(np.int64)
    return labels, margins * temperature


def error_of(labels, scores):
    estimates = evaluate_scores(labels, binary(scores), replicates=300, seed=0)
    return estimates["expected_calibration_error"]


def error_of_all(labels, scores):
    once = np.ones((1, len(labels)))
    return Scored.of(labels, scores, threshold=0.5).metrics(once)["expected_calibration_error"][0]


def test_calibration_error_is_the_mean_gap_of_the_bins() -> None:
    # 30 rows a score, so that the 15 bins become three: gaps of .1, .2 and .05
    scores = np.repeat([0.2, 0.5, 0.9], 30)
    labels = np.concatenate([np.arange(30) < 9, np.arange(30) < 21, np.arange(30) < 25.5])
    expected = (0.1 + 0.2 + abs(0.9 - 26 / 30)) / 3
    assert error_of(labels.astype(np.int64), scores).value == pytest.approx(expected)
    low, middle, high = reliability_curve(labels.astype(np.int64), scores)
    assert [low.rows, middle.rows, high.rows] == [30, 30, 30]
    assert (middle.low, middle.mean_score, middle.high) == pytest.approx((0.5, 0.5, 0.5))
    assert middle.positive_rate == pytest.approx(0.7)
    # Wilson's interval of 21 of 30 at z = 1.96, worked by hand
    assert (middle.rate_low, middle.rate_high) == pytest.approx((0.5212, 0.8334), abs=1e-4)


def test_bins_hold_about_as_many_rows_and_the_error_of_chance_is_that_of_drawn_labels() -> None:
    labels, margins = drawn(1, rows=1500)
    curve = reliability_curve(labels, special.expit(margins) ** 6)
    assert [item.rows for item in curve] == [100] * 15
    assert all(a.high < b.low for a, b in pairwise(curve))

    _, margins = drawn(3, rows=400)
    scores = special.expit(margins)
    generator = np.random.default_rng(5)
    labels = (generator.random((200, 400)) < scores).astype(np.int64)
    slow = [error_of_all(drawn_labels, scores) for drawn_labels in labels]
    chance = error_by_chance(scores, replicates=2000, seed=0)
    assert chance.value == pytest.approx(np.mean(slow), abs=0.003)
    assert chance.high == pytest.approx(np.quantile(slow, 0.975), abs=0.008)


def test_perfectly_calibrated_scores_show_no_more_than_chance_and_too_sure_ones_do() -> None:
    labels, margins = drawn(2)
    scores = special.expit(margins)
    error, chance = error_of(labels, scores), error_by_chance(scores, replicates=300, seed=0)
    assert error.low <= error.value <= error.high < 0.05
    assert chance.low < error.value < chance.high
    too_sure = special.expit(3 * margins)
    worse, chance = error_of(labels, too_sure), error_by_chance(too_sure, replicates=300, seed=0)
    assert worse.low > chance.high
    assert worse.value > 0.1


def test_an_interval_of_the_error_covers_what_more_rows_would_show() -> None:
    labels, margins = drawn(4, rows=120_000, temperature=1.3)
    scores = special.expit(margins)
    truth = error_of_all(labels, scores)
    parts = np.array_split(np.arange(20_000), 40)
    errors = [error_of(labels[part], scores[part]) for part in parts]
    assert sum(item.low <= truth <= item.high for item in errors) >= 33
    assert np.mean([item.value for item in errors]) > truth + 0.01


def drawn_classes(seed: int, *, rows: int, classes: int, temperature: float):
    """Labels drawn from calibrated logits (by Gumbel's noise), and these scaled by a factor."""
    generator = np.random.default_rng(seed)
    logits = generator.normal(0, 1.5, (rows, classes))
    labels = (logits + generator.gumbel(size=logits.shape)).argmax(axis=1)
    return labels, logits * temperature


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 10_000), temperature=st.floats(0.3, 5), classes=st.sampled_from([2, 3, 9])
)
def test_the_fit_is_the_one_that_a_general_optimiser_finds(
    seed: int, temperature: float, classes: int
) -> None:
    labels, logits = drawn_classes(seed, rows=300, classes=classes, temperature=temperature)
    best = optimize.minimize_scalar(
        lambda inverse: -special.log_softmax(logits * inverse, axis=1)[range(300), labels].mean(),
        bounds=(0.05, 20),
        method="bounded",
        options={"xatol": 1e-9},
    )
    fit = fit_temperature(labels, logits)
    assert 1 / fit.value == pytest.approx(best.x, rel=1e-4)
    assert fit.loss_after == pytest.approx(best.fun)
    assert fit.loss_after <= fit.loss_before
    assert not fit.kept


def test_scores_without_a_best_temperature_are_left_alone_with_the_reason() -> None:
    labels = np.array([0, 0, 1, 2])
    apart = fit_temperature(labels, 3.0 * np.eye(3)[labels])
    assert (apart.value, apart.loss_after) == (1, apart.loss_before)
    assert "all labels" in apart.kept
    wrong = fit_temperature(labels, 3.0 * np.eye(3)[[1, 2, 0, 0]])
    assert wrong.value == 1
    assert "do not separate" in wrong.kept


def test_a_share_of_decisions_has_wilsons_interval_and_none_without_rows() -> None:
    before = np.array([True, True, False, False, True, True, True, True, True, True])
    after = np.array([False, True, True, True, True, True, True, True, True, True])
    rate = share_estimate(before != after)
    # As proportion_confint of statsmodels has it, by the method "wilson".
    assert rate.value == pytest.approx(0.3)
    assert (rate.low, rate.high) == pytest.approx((0.10779, 0.60322), abs=1e-5)

    rate = share_estimate(np.zeros(10, dtype=np.bool_))
    assert (rate.value, rate.low) == (0, 0)
    assert rate.high == pytest.approx(0.27753, abs=1e-5)
    assert share_estimate(np.zeros(0, dtype=np.bool_)).value is None


def turns(both: int, change: int, control: int, neither: int) -> tuple[np.ndarray, ...]:
    """Decisions of rows that the change and the control, one of them, or neither turns."""
    before = np.ones(both + change + control + neither, dtype=np.bool_)
    cells = [(False, False), (False, True), (True, False), (True, True)]
    after, by_control = np.repeat(cells, (both, change, control, neither), axis=0).T
    return before, after, by_control


def test_what_turns_above_the_control_is_paired_by_rows() -> None:
    """The interval as `ci.prop.ps(.05, 12, 4, 26, 6)` of statpsych gives it."""
    rate = excess_flip_rate(*turns(6, 26, 4, 12))
    assert rate.value == pytest.approx((26 - 4) / 48)
    assert (rate.low, rate.high) == pytest.approx((0.2548067, 0.6251933), abs=1e-7)

    rate = excess_flip_rate(*turns(50, 0, 0, 50))
    assert rate.value == 0
    assert rate.low < 0 < rate.high
    assert excess_flip_rate(*turns(0, 0, 0, 0)).value is None
    # The ends lie between the possible differences.
    assert excess_flip_rate(*turns(0, 3, 0, 0)).high == 1
    assert excess_flip_rate(*turns(0, 0, 3, 0)).low == -1
