from collections import Counter

import numpy as np
import pytest
from scipy import stats

from sashiko.monitoring.audit import audited_accuracy, draw_rows

KEYS = [f"C{number:04d}" for number in range(400)]


def test_drawn_rows_are_of_the_window_and_carry_their_probability() -> None:
    drawn = draw_rows(KEYS, rows=100, seed=1)
    assert len(set(drawn["key"].to_pylist()) & set(KEYS)) == 100
    assert set(drawn["probability"].to_pylist()) == {0.25}


def test_the_draw_depends_on_keys_and_seed_and_not_on_the_order_of_the_keys() -> None:
    assert draw_rows(KEYS, rows=50, seed=1).equals(draw_rows(KEYS[::-1], rows=50, seed=1))
    assert not draw_rows(KEYS, rows=50, seed=1).equals(draw_rows(KEYS, rows=50, seed=2))


def test_all_rows_have_the_same_chance() -> None:
    times = Counter(
        key
        for seed in range(400)
        for key in draw_rows(KEYS[:20], rows=5, seed=seed)["key"].to_pylist()
    )
    assert min(times.values()) > 60
    assert max(times.values()) < 140


def test_a_window_smaller_than_the_draw_is_taken_whole() -> None:
    drawn = draw_rows(KEYS[:7], rows=100, seed=1)
    assert drawn["key"].to_pylist() == KEYS[:7]
    assert set(drawn["probability"].to_pylist()) == {1.0}
    assert len(draw_rows([], rows=100, seed=1)) == 0


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
