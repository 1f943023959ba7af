import pytest

from sashiko.training.loop import learning_rate


def test_the_rate_goes_up_to_the_peak_and_down_to_nothing() -> None:
    rates = [learning_rate(step, steps=100, peak=0.3, warmup_ratio=0.1) for step in range(101)]
    assert rates[0] == pytest.approx(0.03)
    assert max(rates) == rates[9] == rates[10] == pytest.approx(0.3)
    assert rates[55] == pytest.approx(0.15)
    assert rates[100] == 0
    assert all(rate > 0 for rate in rates[:100])


def test_without_warm_up_it_starts_at_the_peak() -> None:
    assert learning_rate(0, steps=3, peak=0.3, warmup_ratio=0.0) == pytest.approx(0.3)
    assert learning_rate(0, steps=1, peak=0.3, warmup_ratio=0.9) == pytest.approx(0.3)
