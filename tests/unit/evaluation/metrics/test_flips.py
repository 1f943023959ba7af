"""The share of decisions that turn, with Wilson's interval."""

import numpy as np
import pytest

from sashiko.evaluation.metrics.flips import flip_rate


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
