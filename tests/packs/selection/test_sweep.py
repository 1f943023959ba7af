import math
import shlex
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from sashiko.bias.clarify.analysis import AnalysisConfig
from sashiko.bias.clarify.contract_config import analysis_config
from sashiko.bias.clarify.counting import Column
from sashiko.evaluation.metrics.arrays import two_classes
from sashiko.report.html import REPORT_FILE, write_page
from sashiko.run_report.page import write_report
from sashiko.settings.recipe import Recipe, load_recipe
from sashiko.settings.recipe_bias import BiasGate
from sashiko_packs.selection.report import sweep_page
from sashiko_packs.selection.report.sweep_page import choice_lines, headline, sweep_view
from sashiko_packs.selection.rows import Validation
from sashiko_packs.selection.sweep import Point, choose, inner_bounds, judge, write_sweep
from tests.packs.selection.selections import (
    CHECK,
    FACETS_FILE,
    ROWS,
    points,
    recipe,
    sweep,
    sweep_of,
    validation,
)
from tests.unit import acme
from tests.unit.commands.in_process import sashiko
from tests.unit.contract.documents import contract_of, two_facets
from tests.unit.run_report import runs
from tests.unit.run_report.page import PAPER, WIDTHS, opens_whole

pytestmark = pytest.mark.usefixtures("drawn")


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


METRIC = "balanced_accuracy"


def value(point):
    return point.quality[METRIC].value


def test_the_best_of_what_will_do_is_recommended():
    result = sweep(recipe())
    will_do = [point for point in result.points if not point.lacking]
    assert value(result.chosen) == max(map(value, will_do))
    assert result.chosen.lacking == ()


def test_its_command_sets_what_it_says(tmp_path):
    result = sweep(recipe())
    assert result.chosen.strength != result.recipe.reweighing.strength
    arguments = shlex.split(result.command)
    assert arguments[:3] == ["sashiko", "run", "--set"]
    path = tmp_path / "recipe.yaml"
    path.write_text(result.recipe.model_dump_json())
    again = load_recipe(path, overrides=tuple(arguments[3:]))
    assert again.reweighing.strength == result.chosen.strength


def test_a_recipe_that_is_best_already_is_left_alone():
    result = sweep(recipe(), handicaps=(0.3, 0.0))
    assert result.chosen == result.present
    assert result.command == "sashiko run"
    assert list(choice_lines(result)) == ["the recipe has this strength already: nothing to change"]


def test_of_equal_points_the_lower_strength_is_taken():
    equal_points = points(recipe(), (0.0, 0.0, 0.0))
    assert choose(equal_points, metric=METRIC).strength == 0


def test_where_none_will_do_each_strength_says_what_it_lacks():
    config = recipe(quality={"gates": [{"metric": "auc", "minimum": 0.99, "reason": "a dream"}]})
    result = sweep(config)
    assert (result.chosen, result.command) == (None, "")
    assert headline(result).startswith("None of 3 strengths ")
    lines = list(choice_lines(result))
    assert len(lines) == len(result.points)
    assert all("fails auc" in line for line in lines)


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


def at(threshold: float, **changes: Any) -> Recipe:
    """A recipe that decides at a fixed threshold."""
    policy = {"threshold": {"policy": "fixed", "value": threshold}, "bootstrap_replicates": 100}
    return recipe(evaluate=policy | changes.pop("evaluate", {}), **changes)


def point_of(rows: Validation, config: Recipe) -> Point:
    return judge(rows, config, strength=1.0, run="run-1")


def test_each_combination_is_judged_with_intervals_that_hold_at_once(tmp_path: Path) -> None:
    rows = two(tmp_path, handicap=0.3)
    gates = [AGE, BOTH | {"judged_by": "bound"}]
    point = point_of(rows, at(0.5, bias={"gates": gates, "bootstrap_replicates": 2000}))
    assert list(point.bias) == [
        "DI age=old", "DI age=old & sex=f", "DI age=old & sex=m", "DI age=young & sex=f",
    ]  # fmt: skip
    old, old_f = point.bias["DI age=old"], point.bias["DI age=old & sex=f"]
    assert old_f.value < 0.5
    plain = point_of(rows, at(0.5, bias={"gates": [AGE], "bootstrap_replicates": 2000}))
    assert plain.bias["DI age=old"] == old


def test_a_check_is_drawn_with_the_bounds_of_its_own_gate(tmp_path: Path, monkeypatch) -> None:
    bounds = {}
    monkeypatch.setattr(
        sweep_page, "trade_off", lambda _, *, gate, check: bounds.update({check: gate})
    )
    gates = [AGE | {"minimum": 0.02}, BOTH]
    config = at(0.5, bias={"gates": gates, "bootstrap_replicates": 1000})
    point = point_of(two(tmp_path, handicap=0.1), config)
    sweep_page.trade_off_figures(sweep_of(config, [point], metric=METRIC, rows=ROWS))
    assert {check: gate.minimum for check, gate in bounds.items()} == {
        "DI age=old": 0.02,
        "DI age=old & sex=f": 0.01,
        "DI age=old & sex=m": 0.01,
        "DI age=young & sex=f": 0.01,
    }


GATE = {"metric": "DI", "facet": "age", "minimum": 0.8, "maximum": 1.25, "reason": "four fifths"}
AUC = {"metric": "auc", "minimum": 0.7, "reason": "to be of use"}


def judged(threshold, *, handicap=0.0, rows=2000, **changes):
    return point_of(validation(handicap=handicap, rows=rows), at(threshold, **changes))


def test_numbers_are_those_of_the_rows():
    point = judged(0.5, handicap=0.1)
    rows = validation(handicap=0.1)
    predicted = rows.model(0.5).predicted == 1
    old = np.array(rows.data.facets[0].values.to_pylist()) == "old"
    impact = predicted[old].mean() / predicted[~old].mean()
    assert point.bias[CHECK].value == pytest.approx(impact)
    assert point.bias[CHECK].low < impact < point.bias[CHECK].high
    assert point.quality["accuracy"].value == pytest.approx((predicted == rows.labels).mean())


@pytest.mark.parametrize(
    ("changes", "lacking"),
    [
        ({}, ()),
        ({"handicap": 0.05}, (f"margin of {CHECK}",)),
        ({"handicap": 0.3}, (CHECK,)),
        ({"rows": 150}, (CHECK,)),
    ],
    ids=["fair", "near the bounds", "outside", "a group that is too small"],
)
def test_what_a_point_lacks_is_named(changes, lacking):
    assert judged(0.5, **changes).lacking == lacking


def test_where_the_interval_decides_a_wide_one_fails():
    bias = {"gates": [GATE | {"judged_by": "bound"}], "bootstrap_replicates": 1000}
    few = {"rows": 300, "bias": bias | {"minimum_group_size": 10}}
    assert judged(0.5, **few).lacking == (CHECK,)
    few["bias"]["gates"] = [GATE]
    assert judged(0.5, **few).lacking != (CHECK,)


def test_nobody_predicted_positive_is_undefined_and_fails():
    rows = validation(handicap=0.0)
    none = replace(rows.scored, scores=two_classes(np.zeros(ROWS)))
    point = point_of(replace(rows, scored=none), at(0.5))
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


def test_a_point_is_at_the_threshold_of_the_recipes_policy():
    rows = validation(handicap=0.0)
    chosen = point_of(rows, recipe())
    assert judged(0.4).threshold == 0.4
    assert all(value(chosen) >= value(judged(other)) for other in (0.3, 0.4, 0.5, 0.6))


def test_a_gate_on_the_projects_own_metric_counts_at_the_threshold(tmp_path, monkeypatch):
    acme.make(tmp_path / "src", monkeypatch)
    gate = {"metric": "acme.metrics:Cost", "reason": "the budget"}
    lead = gate | {"better_than": "majority"}
    for threshold in (0.5, 0.99):
        point = judged(threshold, quality={"gates": [gate | {"maximum": 1}, lead | {"margin": -5}]})
        assert ("acme.metrics:Cost" in point.failed) == (threshold == 0.99)
        assert "acme.metrics:Cost lead over majority" not in point.failed
    point = judged(0.5, quality={"gates": [lead | {"margin": 5}]})
    assert "acme.metrics:Cost lead over majority" in point.failed


def test_a_run_of_a_sweep_is_not_reported_as_registered(tmp_path):
    started = runs.started(tmp_path)
    runs.prepared(started)
    folder = started.write("partial", until="Compile")
    html = write_report(folder, started.home).read_text()
    assert "Part of a sweep" in html
    assert "nothing was registered" in html
    assert "Waits for your decision" not in html


@pytest.fixture(scope="module", params=["a strength will do", "none will do"])
def page_path(request, tmp_path_factory):
    home = tmp_path_factory.mktemp("sweep")
    dream = {"gates": [{"metric": "auc", "minimum": 0.999, "reason": "a dream"}]}
    result = sweep(recipe(quality=dream) if request.param == "none will do" else recipe())
    return write_page(sweep_view(result), write_sweep(result, home) / REPORT_FILE)


@pytest.mark.slow
@pytest.mark.parametrize("width", WIDTHS)
def test_a_sweeps_page_opens_whole_and_says_its_pictures(tab, page_path, width):
    opens_whole(tab, page_path, width=width, sections=["decision", "trade-off", "points", "rule"])
    tree = tab.call("Accessibility.getFullAXTree")["nodes"]
    names = [node["name"]["value"] for node in tree if node.get("role", {}).get("value") == "image"]
    assert [name.partition(":")[0] for name in names] == [
        "balanced accuracy against DI age=old on the validation split"
    ]
    tab.print_on(width=PAPER[0])
    assert tab.value("document.documentElement.scrollWidth") <= PAPER[0]


SWEEP = ("run", "--recipe", "complaints", "--sweep")  # a fork's own may reweigh nothing


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("run", "--sweep", "--env", "dev"), "--env local"),
        (("run", "--sweep", "--strengths", "0;1"), "--strengths 0;1: expected numbers with commas"),
        ((*SWEEP, "--strengths", "1,9"), "--strengths 9: key `reweighing.strength`"),
        ((*SWEEP, "--strengths", "nan"), "--strengths nan: key `reweighing.strength`"),
        (("run", "--sweep", "--set", "reweighing.facets=[]"), "key `reweighing.facets` is empty"),
    ],
)
def test_bad_input_ends_with_one_error_and_status_1(arguments, expected) -> None:
    done = sashiko(*arguments)
    assert done.returncode == 1
    assert expected in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
