from typing import Any

import pytest

from sashiko.errors import InputError
from sashiko.gates.bias import bias_checks
from sashiko.gates.estimates import BiasEstimate
from sashiko.recipe import BiasSection

FOUR_FIFTHS = {"metric": "DI", "facet": "age", "minimum": 0.8, "maximum": 1.25}


def section(**gate: Any) -> BiasSection:
    return BiasSection.model_validate({"gates": [{"reason": "four fifths", **gate}]})


def measured(value: float | None, *, metric: str = "DI", **more: Any) -> BiasEstimate:
    return BiasEstimate(
        stage="post_training", metric=metric, facet="age", group="old", value=value, **more
    )


@pytest.mark.parametrize(
    ("value", "passed"), [(0.8, True), (1.25, True), (0.799, False), (1.26, False)]
)
def test_the_range_is_held_against_the_point_estimate(value: float, passed: bool) -> None:
    # the interval leaves the range in every case: it is reported and does not decide
    (check,) = bias_checks(section(**FOUR_FIFTHS), [measured(value, low=0.5, high=1.6)])
    assert check.passed is passed
    assert check.name == "DI age=old"
    assert (check.low, check.high, check.threshold) == (0.5, 1.6, (0.8, 1.25))
    assert check.comparison == "in_range"


def test_undefined_is_a_failure_with_its_reason() -> None:
    estimate = measured(None, error="no row is predicted positive")
    (check,) = bias_checks(section(**FOUR_FIFTHS), [estimate])
    assert not check.passed
    assert "undefined: no row is predicted positive" in check.reason
    assert check.try_


@pytest.mark.parametrize(
    ("metric", "value", "advice"),
    [
        ("DI", 0.5, "raise `reweighing.strength`"),
        ("DI", 1.5, "lower `reweighing.strength`"),
        ("DPPL", 0.5, "raise `reweighing.strength`"),
        ("DPPL", -0.5, "lower `reweighing.strength`"),
    ],
)
def test_the_advice_fits_the_side_on_which_the_value_lies(metric, value, advice) -> None:
    bounds = (0.8, 1.25) if metric == "DI" else (-0.1, 0.1)
    gate = {"metric": metric, "facet": "age", "minimum": bounds[0], "maximum": bounds[1]}
    (check,) = bias_checks(section(**gate), [measured(value, metric=metric)])
    assert advice in check.try_


@pytest.mark.parametrize(
    ("bound", "comparison", "passed"), [("minimum", ">=", False), ("maximum", "<=", True)]
)
def test_one_bound_alone(bound: str, comparison: str, passed: bool) -> None:
    gate = {"metric": "RD", "facet": "age", bound: 0.1}
    (check,) = bias_checks(section(**gate), [measured(0.05, metric="RD")])
    assert (check.comparison, check.passed, check.threshold) == (comparison, passed, 0.1)


def test_every_group_of_the_facet_is_judged() -> None:
    young = BiasEstimate(stage="post_training", metric="DI", facet="age", group="young", value=0.5)
    checks = bias_checks(section(**FOUR_FIFTHS), [measured(1.0), young])
    assert [(check.name, check.passed) for check in checks] == [
        ("DI age=old", True),
        ("DI age=young", False),
    ]


def test_a_gate_on_what_was_not_measured_is_an_error_and_not_a_pass() -> None:
    of_labels = BiasEstimate(stage="pre_training", metric="DI", facet="age", group="old", value=1.0)
    with pytest.raises(InputError, match="DI of facet `age`"):
        bias_checks(section(**FOUR_FIFTHS), [of_labels, measured(1.0, metric="RD")])
