import math
from typing import Any

import pytest

from sashiko.settings.recipe_bias import BiasGate
from sashiko_packs.selection.sweep import distance, inner_bounds, keeps_margin


def gate(metric: str, **bounds: Any) -> BiasGate:
    return BiasGate(metric=metric, facet="age", reason="it is the law", **bounds)


@pytest.mark.parametrize(
    ("bias_gate", "inner"),
    [
        (gate("DI", minimum=0.8, maximum=1.25), (math.sqrt(0.8), math.sqrt(1.25))),
        (gate("DI", minimum=0.8), (math.sqrt(0.8), math.inf)),
        (gate("DI", minimum=0), (0, math.inf)),
        (gate("DI", minimum=5), (5, math.inf)),  # nothing between it and no difference
        (gate("RD", minimum=-0.1, maximum=0.2), (-0.05, 0.1)),
        (gate("GE", maximum=0.3), (-math.inf, 0.15)),
    ],
)
def test_a_margin_is_half_of_the_way_to_no_difference(bias_gate, inner):
    assert inner_bounds(bias_gate) == pytest.approx(inner)


def test_what_is_undefined_keeps_no_margin():
    assert not keeps_margin(None, gate("GE", maximum=0.3))


def test_a_ratio_is_as_far_from_1_as_its_inverse():
    assert distance(0.8, "DI") == pytest.approx(distance(1.25, "DI"))
    assert distance(0.0, "DI") == math.inf
    assert distance(-0.2, "RD") == 0.2
