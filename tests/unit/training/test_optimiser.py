import pytest

from sashiko.settings.recipe_train import Hyperparameters
from sashiko.training.loop import learning_rate


def rate(step: int, *, steps: int, warmup_ratio: float) -> float:
    values = {"learning_rate": 0.3, "warmup_ratio": warmup_ratio}
    settings = Hyperparameters(max_length=32, truncate=False, **values)
    return learning_rate(step, steps=steps, settings=settings)


def test_the_rate_goes_up_to_the_peak_and_down_to_nothing():
    rates = [rate(step, steps=100, warmup_ratio=0.1) for step in range(101)]
    assert rates[0] == pytest.approx(0.03)
    assert max(rates) == rates[9] == rates[10] == pytest.approx(0.3)
    assert rates[55] == pytest.approx(0.15)
    assert rates[100] == 0
    assert all(rate > 0 for rate in rates[:100])


def test_without_warm_up_it_starts_at_the_peak():
    assert rate(0, steps=3, warmup_ratio=0.0) == rate(0, steps=1, warmup_ratio=0.9) == 0.3
