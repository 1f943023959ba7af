from collections import Counter

import numpy as np
import pytest
from scipy import stats

from sashiko.monitoring.audit import audited_accuracy, draw_positions, enough_labels


def test_the_draw_depends_on_its_seed_alone() -> None:
    drawn = draw_positions(400, rows=50, seed=1)
    assert drawn.tolist() == sorted(set(drawn.tolist()))
    assert np.array_equal(drawn, draw_positions(400, rows=50, seed=1))
    assert not np.array_equal(drawn, draw_positions(400, rows=50, seed=2))


def test_all_rows_have_the_same_chance() -> None:
    times = Counter(
        position
        for seed in range(400)
        for position in draw_positions(20, rows=5, seed=seed).tolist()
    )
    assert len(times) == 20
    assert min(times.values()) > 60
    assert max(times.values()) < 140


def test_a_window_smaller_than_the_draw_is_taken_whole() -> None:
    assert draw_positions(7, rows=100, seed=1).tolist() == [*range(7)]


@pytest.mark.parametrize(("drawn", "enough"), [(0, 1), (1, 1), (10, 9), (100, 90), (101, 91)])
def test_nine_in_ten_labels_are_enough_and_none_never_is(drawn: int, enough: int) -> None:
    assert enough_labels(drawn) == enough


def _right(count: int, of: int) -> np.ndarray:
    return np.arange(of) < count


def test_accuracy_is_the_share_of_right_decisions_with_wilsons_interval() -> None:
    estimate = audited_accuracy(_right(150, 200), np.full(200, 0.1), drawn=200)
    assert estimate.value == 0.75
    # Wilson's interval of 150 of 200, by the formula.
    assert (estimate.low, estimate.high) == pytest.approx((0.6857, 0.8049), abs=1e-3)


def test_rows_of_a_larger_window_count_for_more() -> None:
    right = np.concatenate([_right(100, 100), _right(0, 100)])
    probabilities = np.repeat([0.5, 0.1], 100)
    estimate = audited_accuracy(right, probabilities, drawn=200)
    assert estimate.value == pytest.approx(200 / 1200)
    equal = audited_accuracy(_right(33, 200), np.full(200, 0.1), drawn=200)
    assert estimate.high - estimate.low > equal.high - equal.low


@pytest.mark.parametrize(("labelled", "drawn", "needed"), [(99, 99, 100), (179, 200, 180)])
def test_too_few_labels_give_no_estimate_and_say_how_many_are_needed(
    labelled: int, drawn: int, needed: int
) -> None:
    estimate = audited_accuracy(_right(50, labelled), np.ones(labelled), drawn=drawn)
    assert estimate.value is None
    assert f"{labelled} of {drawn} drawn rows are labelled, {needed} are needed" in estimate.reason


@pytest.mark.parametrize("accuracy", [0.706, 0.774, 0.9])
def test_the_interval_holds_the_true_accuracy_as_often_as_it_says(accuracy: float) -> None:
    ends = [audited_accuracy(_right(count, 100), np.ones(100), drawn=100) for count in range(101)]
    held = sum(
        stats.binom.pmf(count, 100, accuracy)
        for count, end in enumerate(ends)
        if end.low <= accuracy <= end.high
    )
    assert 0.92 < held < 0.97
