from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize, special

from sashiko.evaluation.metrics.calibration import (
    error_by_chance,
    excess_flip_rate,
    fit_temperature,
    reliability_curve,
    share_estimate,
    without_temperature,
)
from sashiko.evaluation.metrics.quality import Scored, evaluate_scores


def drawn(seed: int, *, rows: int = 3000, temperature: float = 1.0):
    """Labels drawn from calibrated margins, and those margins scaled by a factor."""
    generator = np.random.default_rng(seed)
    margins = generator.normal(0, 1.5, rows)
    labels = (generator.random(rows) < special.expit(margins)).astype(np.int64)
    return labels, margins * temperature


def error_of(labels, scores):
    estimates = evaluate_scores(labels, scores, threshold=0.5, replicates=300, seed=0)
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


def test_bins_hold_about_as_many_rows_however_scores_crowd() -> None:
    labels, margins = drawn(1, rows=1500)
    curve = reliability_curve(labels, special.expit(margins) ** 6)
    assert [item.rows for item in curve] == [100] * 15
    assert all(a.high < b.low for a, b in pairwise(curve))


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


def test_the_error_of_chance_is_that_of_labels_drawn_from_the_scores() -> None:
    _, margins = drawn(3, rows=400)
    scores = special.expit(margins)
    generator = np.random.default_rng(5)
    labels = (generator.random((200, 400)) < scores).astype(np.int64)
    slow = [error_of_all(drawn_labels, scores) for drawn_labels in labels]
    chance = error_by_chance(scores, replicates=2000, seed=0)
    assert chance.value == pytest.approx(np.mean(slow), abs=0.003)
    assert chance.high == pytest.approx(np.quantile(slow, 0.975), abs=0.008)


def test_an_interval_of_the_error_covers_what_more_rows_would_show() -> None:
    labels, margins = drawn(4, rows=120_000, temperature=1.3)
    scores = special.expit(margins)
    truth = error_of_all(labels, scores)
    parts = np.array_split(np.arange(20_000), 40)
    errors = [error_of(labels[part], scores[part]) for part in parts]
    assert sum(item.low <= truth <= item.high for item in errors) >= 33
    assert np.mean([item.value for item in errors]) > truth + 0.01


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.5])
def test_the_temperature_that_logits_were_scaled_by_is_recovered(temperature: float) -> None:
    labels, margins = drawn(6, rows=20_000, temperature=temperature)
    fit = fit_temperature(labels, margins)
    assert fit.value == pytest.approx(temperature, rel=0.05)
    assert fit.loss_after <= fit.loss_before
    assert not fit.kept


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), temperature=st.floats(0.3, 5))
def test_the_fit_is_the_one_that_a_general_optimiser_finds(seed: int, temperature: float) -> None:
    labels, margins = drawn(seed, rows=300, temperature=temperature)
    signed = np.where(labels == 1, margins, -margins)
    best = optimize.minimize_scalar(
        lambda inverse: np.logaddexp(0, -signed * inverse).mean(),
        bounds=(0.05, 20),
        method="bounded",
        options={"xatol": 1e-9},
    )
    fit = fit_temperature(labels, margins)
    assert 1 / fit.value == pytest.approx(best.x, rel=1e-4)
    assert fit.loss_after == pytest.approx(best.fun)


def test_scores_without_a_best_temperature_are_left_alone_with_the_reason() -> None:
    labels = np.array([0, 0, 1, 1])
    apart = fit_temperature(labels, np.array([-1.0, -2.0, 1.0, 2.0]))
    assert (apart.value, apart.loss_after) == (1, apart.loss_before)
    assert "all labels" in apart.kept
    wrong = fit_temperature(labels, np.array([1.0, 2.0, -1.0, -2.0]))
    assert wrong.value == 1
    assert "do not separate" in wrong.kept


def test_a_temperature_can_be_taken_out_of_scores_again() -> None:
    margins = np.array([-30.0, -2.0, 0.0, 0.5, 4.0])
    scaled = special.expit(margins / 2.5)
    assert without_temperature(scaled, 2.5) == pytest.approx(special.expit(margins), rel=1e-9)
    assert list(without_temperature(np.array([0.0, 1.0]), 2.5)) == [0, 1]


def test_a_decision_that_turns_either_way_counts_once() -> None:
    before = np.array([True, True, False, False, True, True, True, True, True, True])
    after = np.array([False, True, True, True, True, True, True, True, True, True])
    rate = share_estimate(before != after)
    # As proportion_confint of statsmodels has it, by the method "wilson".
    assert rate.value == pytest.approx(0.3)
    assert (rate.low, rate.high) == pytest.approx((0.10779, 0.60322), abs=1e-5)


def test_without_a_flip_the_interval_has_a_width_and_without_rows_nothing_is_defined() -> None:
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


def test_a_control_that_turns_as_many_leaves_nothing() -> None:
    rate = excess_flip_rate(*turns(50, 0, 0, 50))
    assert rate.value == 0
    assert rate.low < 0 < rate.high
    assert excess_flip_rate(*turns(0, 0, 0, 0)).value is None
    # The ends lie between the possible differences.
    assert excess_flip_rate(*turns(0, 3, 0, 0)).high == 1
    assert excess_flip_rate(*turns(0, 0, 3, 0)).low == -1
