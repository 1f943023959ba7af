from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from sashiko.bias.clarify.analysis import AnalysisConfig
from sashiko.bias.clarify.contract_config import analysis_config
from sashiko.bias.clarify.dataset import Column
from sashiko_packs.selection.report import sweep_page
from sashiko_packs.selection.rows import Validation
from sashiko_packs.selection.sweep import THRESHOLDS, Curve, curve, judge, threshold_free_quality
from tests.packs.selection.sweep.sweeps import CHECK, FACETS_FILE, ROWS, recipe, sweep, validation
from tests.unit import acme
from tests.unit.contract.documents import contract_of, two_facets

BOTH = {"metric": "DI", "facet": ["age", "sex"], "minimum": 0.01, "reason": "any"}
AGE = BOTH | {"facet": "age"}


def two(folder: Path, *, handicap: float) -> Validation:
    one = validation(handicap=handicap)
    contract = contract_of(two_facets(), folder)
    sex = pa.chunked_array([pa.array(np.where(np.arange(ROWS) % 3, "m", "f"))])
    return replace(
        one,
        contract=contract,
        config=AnalysisConfig.model_validate(analysis_config(contract, kind="post")),
        data=replace(one.data, facets=(*one.data.facets, Column("sex", sex, FACETS_FILE))),
    )


def test_each_combination_is_judged_with_intervals_that_hold_at_once(tmp_path: Path) -> None:
    rows = two(tmp_path, handicap=0.3)
    gates = [AGE, BOTH | {"judged_by": "bound"}]
    config = recipe(bias={"gates": gates, "bootstrap_replicates": 2000})
    point = judge(rows, config, 0.5, threshold_free=threshold_free_quality(rows, config))
    assert list(point.bias) == [
        "DI age=old",
        "DI age=old & sex=f",
        "DI age=old & sex=m",
        "DI age=young & sex=f",
    ]
    old, old_f = point.bias["DI age=old"], point.bias["DI age=old & sex=f"]
    assert old_f.value < 0.5
    alone = recipe(bias={"gates": [AGE], "bootstrap_replicates": 2000})
    plain = judge(rows, alone, 0.5, threshold_free=threshold_free_quality(rows, alone))
    assert plain.bias["DI age=old"] == old


def test_a_check_is_drawn_with_the_bounds_of_its_own_gate(tmp_path: Path, monkeypatch) -> None:
    bounds = {}
    monkeypatch.setattr(
        sweep_page, "trade_off", lambda _, *, gate, check, metric: bounds.update({check: gate})
    )
    rows = two(tmp_path, handicap=0.1)
    gates = [AGE | {"minimum": 0.02}, BOTH]
    config = recipe(bias={"gates": gates, "bootstrap_replicates": 1000})
    threshold_free = threshold_free_quality(rows, config)
    point = judge(rows, config, 0.5, threshold_free=threshold_free, by_policy=True)
    curve = Curve(strength=1.0, run="run", quality=threshold_free.quality, points=(point,))
    result = sweep(recipe(bias={"gates": [AGE], "bootstrap_replicates": 1000}))
    changes = {"curves": (curve,), "recipe": config}
    sweep_page.trade_off_figures(result.model_copy(update=changes))
    assert {check: gate.minimum for check, gate in bounds.items()} == {
        "DI age=old": 0.02,
        "DI age=old & sex=f": 0.01,
        "DI age=old & sex=m": 0.01,
        "DI age=young & sex=f": 0.01,
    }


GATE = {"metric": "DI", "facet": "age", "minimum": 0.8, "maximum": 1.25, "reason": "four fifths"}
AUC = {"metric": "auc", "minimum": 0.7, "reason": "to be of use"}


def judged(threshold, *, handicap=0.0, rows=2000, **changes):
    config = recipe(**changes)
    model = validation(handicap=handicap, rows=rows)
    return judge(model, config, threshold, threshold_free=threshold_free_quality(model, config))


def test_numbers_are_those_of_the_rows():
    point = judged(0.5, handicap=0.1)
    rows = validation(handicap=0.1)
    predicted = rows.scores >= 0.5
    old = np.array(rows.data.facets[0].values.to_pylist()) == "old"
    impact = predicted[old].mean() / predicted[~old].mean()
    assert point.bias[CHECK].value == pytest.approx(impact)
    assert point.bias[CHECK].low < impact < point.bias[CHECK].high
    assert point.quality["accuracy"].value == pytest.approx((predicted == rows.labels).mean())


def test_a_fair_and_good_model_lacks_nothing():
    assert judged(0.5).lacking == ()


def test_what_lies_within_the_bounds_but_near_them_lacks_the_margin():
    point = judged(0.5, handicap=0.05)
    assert 0.8 < point.bias[CHECK].value < 0.8**0.5
    assert point.lacking == (f"margin of {CHECK}",)


def test_what_lies_outside_fails_the_gate():
    assert judged(0.5, handicap=0.3).lacking == (CHECK,)


def test_where_the_interval_decides_a_wide_one_fails():
    bias = {"gates": [GATE | {"judged_by": "bound"}], "bootstrap_replicates": 1000}
    few = {"rows": 300, "bias": bias | {"minimum_group_size": 10}}
    assert judged(0.5, **few).lacking == (CHECK,)
    few["bias"]["gates"] = [GATE]
    assert judged(0.5, **few).lacking != (CHECK,)


def test_a_group_that_is_too_small_never_passes():
    assert judged(0.5, rows=150).lacking == (CHECK,)


def test_nobody_predicted_positive_is_undefined_and_fails():
    point = judged(1.01)
    assert point.bias[CHECK].value is None
    assert CHECK in point.lacking


def test_quality_gates_count_but_for_leads_that_need_other_models():
    gates = [
        AUC,
        {"metric": "auc", "better_than": "tfidf_logistic_regression", "reason": "cost"},
        {"metric": "auc", "better_than": "champion", "reason": "no worse"},
        {"metric": "accuracy", "better_than": "majority", "reason": "base rate"},
        {"metric": "f1", "minimum": 0.99, "reason": "out of reach"},
    ]
    point = judged(0.5, quality={"gates": gates})
    assert point.lacking == ("f1",)
    point = judged(0.05, quality={"gates": gates})
    assert "accuracy lead over majority" in point.lacking


def test_a_gate_on_prompt_injections_waits_for_evaluate():
    """A sweep scores no further texts."""
    gate = {"metric": "injection_flip_rate", "maximum": 0, "reason": "none decides its own case"}
    point = judged(0.5, quality={"gates": [gate]}, evaluate={"injections": 200})
    assert "injection_flip_rate" not in point.failed


def test_a_curve_has_every_threshold_and_the_policys_own():
    config = recipe()
    result = curve(validation(handicap=0.0), config, strength=1.0, run="run-1")
    policy_point = result.by_policy
    assert {point.threshold for point in result.points} == {*THRESHOLDS, policy_point.threshold}
    best = max(point.quality["balanced_accuracy"].value for point in result.points)
    assert policy_point.quality["balanced_accuracy"].value == best


def test_a_fixed_threshold_is_the_policys_own_and_stands_there_once():
    config = recipe(evaluate={"threshold": {"policy": "fixed", "value": 0.4},
                            "bootstrap_replicates": 100})  # fmt: skip
    result = curve(validation(handicap=0.0), config, strength=1.0, run="run-1")
    assert result.by_policy.threshold == 0.4
    assert len(result.points) == len(THRESHOLDS)


def test_a_gate_on_the_projects_own_metric_counts_at_each_threshold(tmp_path, monkeypatch):
    acme.make(tmp_path / "src", monkeypatch)
    gate = {"metric": "acme.metrics:Cost", "reason": "the budget"}
    lead = gate | {"better_than": "majority"}
    for threshold in (0.5, 0.99):
        point = judged(threshold, quality={"gates": [gate | {"maximum": 1}, lead | {"margin": -5}]})
        assert ("acme.metrics:Cost" in point.failed) == (threshold == 0.99)
        assert "acme.metrics:Cost lead over majority" not in point.failed
    point = judged(0.5, quality={"gates": [lead | {"margin": 5}]})
    assert "acme.metrics:Cost lead over majority" in point.failed
