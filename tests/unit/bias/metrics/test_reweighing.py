import numpy as np
import pytest

from sashiko.bias.steps.weights import reweighing_weights

# group 0: 8 of 10 positive; group 1: 3 of 10
GROUPS = np.repeat([0, 1], 10)
LABELS = np.array([1] * 8 + [0] * 2 + [1] * 3 + [0] * 7)


def rate(group: int, weights: np.ndarray) -> float:
    rows = np.equal(GROUPS, group)
    return float(np.average(LABELS[rows], weights=weights[rows]))


def test_with_strength_1_the_groups_have_the_label_equally_often() -> None:
    weights = reweighing_weights(GROUPS, LABELS, strength=1)
    assert rate(0, weights) == pytest.approx(0.55)
    assert rate(1, weights) == pytest.approx(0.55)
    # P(g=1) P(y=1) / P(g=1, y=1) = .5 * .55 / .15
    assert weights[10] == pytest.approx(0.5 * 0.55 / 0.15)


def test_strength_0_weighs_all_alike_and_2_overcorrects() -> None:
    assert reweighing_weights(GROUPS, LABELS, strength=0).tolist() == [1.0] * 20
    strong = reweighing_weights(GROUPS, LABELS, strength=2)
    assert strong.mean() == pytest.approx(1)
    assert rate(1, strong) > rate(0, strong)


def test_a_pair_that_never_occurs_needs_no_weight() -> None:
    weights = reweighing_weights(np.array([0, 0, 1]), np.array([0, 1, 1]), strength=1)
    assert np.isfinite(weights).all()
