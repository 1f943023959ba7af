from functools import partial
from typing import Any, get_args

import pytest

from sashiko.bias.gates import bias_gate
from sashiko.bias.gates.bias_gate import Mitigation
from sashiko.bias.gates.estimates import BiasEstimate
from sashiko.bias.gates.label_change import label_change
from sashiko.bias.metrics.bias_table import stage_metrics
from sashiko.errors import InputError
from sashiko.settings.recipe_bias import BiasMetric, BiasSection
from sashiko.settings.recipe_quality import ThresholdSection
from sashiko.settings.recipe_train import ReweighingSection

FOUR_FIFTHS = {"metric": "DI", "facet": "age", "minimum": 0.8, "maximum": 1.25}
SIZES = {"n_disadvantaged": 400, "n_advantaged": 600}


def recipe(threshold: dict[str, Any] | None = None, **reweighing: Any) -> Mitigation:
    return Mitigation(
        reweighing=ReweighingSection.model_validate(reweighing),
        threshold=ThresholdSection.model_validate(threshold or {}),
    )


REWEIGHED = recipe(facets=["age"], strength=1.5)
bias_checks = partial(bias_gate.bias_checks, recipe=REWEIGHED)


def section(**gate: Any) -> BiasSection:
    return BiasSection.model_validate({"gates": [{"reason": "four fifths", **gate}]})


def measured(value: float | None, *, metric: str = "DI", **more: Any) -> BiasEstimate:
    common = {"stage": "post_training", "facet": "age", "group": "old"}
    return BiasEstimate(metric=metric, value=value, **{**common, **SIZES, **more})


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


def test_undefined_is_a_failure_and_every_group_is_judged() -> None:
    estimate = measured(None, error="no row is predicted positive")
    (check,) = bias_checks(section(**FOUR_FIFTHS), [estimate])
    assert not check.passed
    assert "undefined: no row is predicted positive" in check.reason
    assert check.try_

    young = measured(0.5, group="young")
    checks = bias_checks(section(**FOUR_FIFTHS), [measured(1.0), young])
    assert [(check.name, check.passed) for check in checks] == [
        ("DI age=old", True),
        ("DI age=young", False),
    ]


@pytest.mark.parametrize(
    ("metric", "value", "advice"),
    [
        ("DI", 0.5, "raise `reweighing.strength`, now 1.5"),
        ("DI", 1.5, "lower `reweighing.strength`, now 1.5"),
        ("DPPL", 0.5, "raise `reweighing.strength`, now 1.5"),
        ("DPPL", -0.5, "lower `reweighing.strength`, now 1.5"),
        ("DRR", -0.5, "raise `reweighing.strength`, now 1.5"),
        ("GE", 0.5, "another decision threshold"),
    ],
)
def test_the_advice_fits_the_side_on_which_the_value_lies(metric, value, advice) -> None:
    bounds = (0.8, 1.25) if metric == "DI" else (-0.1, 0.1)
    gate = {"metric": metric, "facet": "age", "minimum": bounds[0], "maximum": bounds[1]}
    (check,) = bias_checks(section(**gate), [measured(value, metric=metric)])
    assert advice in check.try_


@pytest.mark.parametrize(
    ("used", "value", "expected", "unexpected"),
    [
        (recipe(), 0.5, "put `age` in `reweighing.facets` and set `reweighing.strength`", "raise"),
        (recipe(facets=["sex"], strength=1), 0.5, "put `age` in `reweighing.facets`;", "is 0"),
        (recipe(facets=["age"]), 0.5, "set `reweighing.strength`, which is 0, to 1", "facets`"),
        (recipe(facets=["age"], strength=2), 0.5, "`reweighing.strength`, now 2", "facets`"),
        (recipe(facets=["age"], strength=4), 0.5, "lower the decision threshold", "reweighing"),
        (recipe(facets=["age"]), 1.5, "does not reweigh by `age`", "lower `reweighing"),
        (recipe(facets=["sex"], strength=2), 1.5, "does not reweigh by `age`", "lower `reweighing"),
        (recipe({"policy": "fixed", "value": 0.4}), 0.5, "threshold.value`, now 0.4", "maxim"),
        (recipe(), 0.5, "the current one maximizes balanced_accuracy", "threshold.value"),
    ],
)  # fmt: skip
def test_the_advice_is_of_what_the_recipe_does_not_do_yet(used, value, expected, unexpected):
    (check,) = bias_checks(section(**FOUR_FIFTHS), [measured(value)], recipe=used)
    assert expected in check.try_
    assert unexpected not in check.try_


@pytest.mark.parametrize(
    ("bound", "comparison", "passed"), [("minimum", ">=", False), ("maximum", "<=", True)]
)
def test_one_bound_alone(bound: str, comparison: str, passed: bool) -> None:
    gate = {"metric": "RD", "facet": "age", bound: 0.1}
    (check,) = bias_checks(section(**gate), [measured(0.05, metric="RD")])
    assert (check.comparison, check.passed, check.threshold) == (comparison, passed, 0.1)


def test_a_gate_on_what_was_not_measured_is_an_error_and_not_a_pass() -> None:
    of_labels = measured(1.0, stage="pre_training")
    with pytest.raises(InputError, match="DI of facet `age`"):
        bias_checks(section(**FOUR_FIFTHS), [of_labels, measured(1.0, metric="RD")])


@pytest.mark.parametrize(
    ("ends", "passed"),
    [((0.85, 1.2), True), ((0.79, 1.2), False), ((0.85, 1.26), False), ((None, None), False)],
)
def test_judged_by_the_bound_the_whole_interval_must_lie_inside(ends, passed: bool) -> None:
    estimate = measured(1.0, low=ends[0], high=ends[1])
    (check,) = bias_checks(section(**FOUR_FIFTHS, judged_by="bound"), [estimate])
    assert check.passed is passed
    assert "judged by the whole interval" in check.reason
    assert passed or "more rows of age=old" in check.try_
    assert ("no interval" in check.reason) == (ends[0] is None)


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        ({"n_disadvantaged": 99}, "99 rows of age=old, at least 100"),
        ({"n_advantaged": 3}, "3 rows of all others, at least 100"),
        ({"n_disadvantaged": 0, "n_advantaged": 0}, "0 rows of age=old and 0 rows of all others"),
    ],
)
def test_a_small_group_is_too_few_to_judge_and_never_fair(sizes, expected: str) -> None:
    (check,) = bias_checks(section(**FOUR_FIFTHS), [measured(1.0, low=0.9, high=1.1, **sizes)])
    assert not check.passed
    assert check.reason.startswith(f"too few to judge: {expected}")
    assert "load more rows" in check.try_
    enough = section(**FOUR_FIFTHS).model_copy(update={"minimum_group_size": 1})
    assert bias_checks(enough, [measured(1.0, n_disadvantaged=1)])[0].passed


@pytest.mark.parametrize("stage", ["pre_training", "post_training"])
def test_every_metric_of_predictions_and_labels_can_be_gated(stage) -> None:
    names = stage_metrics(stage)
    assert set(names) < set(get_args(BiasMetric))
    for name in names:
        gate = {"metric": name, "facet": "age", "minimum": -0.1, "maximum": 0.1}
        for value in (-0.5, 0.5):
            (check,) = bias_checks(section(**gate), [measured(value, metric=name, stage=stage)])
            assert not check.passed
            assert ("strength" in check.try_) <= (stage == "post_training")
            assert check.try_


def test_labels_have_a_small_group_and_a_bound_of_the_interval_as_predictions_have() -> None:
    used = section(metric="DPL", facet="age", maximum=0.3, judged_by="bound")
    of_labels = partial(measured, 0.28, metric="DPL", stage="pre_training")
    (inside,) = bias_checks(used, [of_labels(low=0.26, high=0.3)])
    (beyond,) = bias_checks(used, [of_labels(low=0.26, high=0.31)])
    (small,) = bias_checks(used, [of_labels(n_disadvantaged=99)])
    assert [check.passed for check in (inside, beyond, small)] == [True, False, False]
    assert small.reason.startswith("too few to judge: 99 rows of age=old")


def test_the_interval_of_a_change_is_the_published_one_also_over_several_looks() -> None:
    # Newcombe (1998), method 10, 56/70 - 48/80, is this method on Wilson's intervals (table I).
    now = measured(0.8, low=0.6918, high=0.8768, metric="DPL")
    before = measured(0.6, low=0.4904, high=0.7003, metric="DPL")
    change = label_change(now, before, looks=1)
    assert (change.value, change.looks) == (pytest.approx(0.2), 1)
    assert (change.low, change.high) == pytest.approx((0.0524, 0.3339), abs=1e-3)
    assert label_change(now, now, looks=1).value == 0.0

    now = measured(0.3, low=0.2, high=0.4, metric="DPL")
    once = label_change(now, now, looks=1)
    # 97.5 % and 99.375 % of the normal distribution: 1.95996 and 2.49771, in tables.
    four = label_change(now, now, looks=4)
    assert float(four.high or 0) / float(once.high or 1) == pytest.approx(2.49771 / 1.95996, 1e-5)
    wide = measured(0.3, low=0.3 - 0.1 * 2.49771 / 1.95996, high=0.4, metric="DPL", looks=4)
    assert label_change(wide, now, looks=4).low == pytest.approx(four.low, rel=1e-5)
