"""Gates on intersections, on the validation split as on the test split."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa

from sashiko.bias.clarify.analysis import AnalysisConfig
from sashiko.bias.clarify.contract_config import analysis_config
from sashiko.bias.clarify.dataset import Column
from sashiko_packs.selection.report import sweep_page
from sashiko_packs.selection.rows import Validation
from sashiko_packs.selection.sweep import Curve, judge, threshold_free_quality
from tests.packs.selection.sweep.sweeps import FACETS_FILE, ROWS, recipe, sweep, validation
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
