"""The share of decisions that turn, with Wilson's interval."""

import numpy as np
import pytest

from sashiko.evaluation.metrics.calibration import excess_flip_rate, flip_rate


def test_a_decision_that_turns_either_way_counts_once() -> None:
    before = np.array([True, True, False, False, True, True, True, True, True, True])
    after = np.array([False, True, True, True, True, True, True, True, True, True])
    rate = flip_rate(before, after)
    # As proportion_confint of statsmodels has it, by the method "wilson".
    assert rate.value == pytest.approx(0.3)
    assert (rate.low, rate.high) == pytest.approx((0.10779, 0.60322), abs=1e-5)


def test_without_a_flip_the_interval_still_has_a_width() -> None:
    same = np.ones(10, dtype=np.bool_)
    rate = flip_rate(same, same)
    assert (rate.value, rate.low) == (0, 0)
    assert rate.high == pytest.approx(0.27753, abs=1e-5)


def test_without_rows_the_rate_is_undefined() -> None:
    nothing = np.zeros(0, dtype=np.bool_)
    assert flip_rate(nothing, nothing).value is None


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


def test_the_ends_lie_between_the_possible_differences() -> None:
    assert excess_flip_rate(*turns(0, 3, 0, 0)).high == 1
    assert excess_flip_rate(*turns(0, 0, 3, 0)).low == -1
