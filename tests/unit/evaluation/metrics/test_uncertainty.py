import numpy as np
import pytest

from sashiko.evaluation.metrics.uncertainty import (
    Interval,
    estimate,
    percentile_interval,
    resampled_counts,
    resampled_weights,
)


def test_the_interval_holds_the_central_95_percent() -> None:
    ends = percentile_interval(np.linspace(0, 1, 1001))
    assert (ends.low, ends.high) == pytest.approx((0.025, 0.975))


def test_a_few_undefined_resamples_are_left_out_and_many_leave_no_interval() -> None:
    replicates = np.ones(1000)
    replicates[:10] = np.nan
    assert percentile_interval(replicates) == Interval(low=1, high=1)
    replicates[:11] = np.nan
    assert percentile_interval(replicates) is None
    assert estimate(1.0, replicates).low is None
    assert estimate(float("nan"), replicates).value is None


def test_resampled_counts_keep_the_number_of_rows_and_the_empty_cells() -> None:
    counts = np.array([[5, 0], [15, 80]], dtype=np.int64)
    (drawn,) = resampled_counts(counts, replicates=2000, seed=1)
    assert drawn.shape == (2000, 2, 2)
    assert (drawn.sum(axis=(1, 2)) == 100).all()
    assert (drawn[:, 0, 1] == 0).all()
    assert drawn.mean(axis=0) == pytest.approx(counts, abs=0.5)


def test_counts_do_not_depend_on_the_blocks(monkeypatch) -> None:
    counts = np.array([3, 4, 5], dtype=np.int64)
    (whole,) = resampled_counts(counts, replicates=50, seed=3)
    monkeypatch.setattr("sashiko.evaluation.metrics.uncertainty._MAX_WEIGHTS", 21)
    pieces = list(resampled_counts(counts, replicates=50, seed=3))
    assert len(pieces) == 8
    assert (np.concatenate(pieces) == whole).all()


def test_weights_count_draws_and_do_not_depend_on_the_blocks(monkeypatch) -> None:
    whole = np.concatenate(list(resampled_weights(7, replicates=50, seed=3)))
    monkeypatch.setattr("sashiko.evaluation.metrics.uncertainty._MAX_WEIGHTS", 21)
    pieces = list(resampled_weights(7, replicates=50, seed=3))
    assert len(pieces) == 17
    assert (np.concatenate(pieces) == whole).all()
    assert (whole.sum(axis=1) == 7).all()
