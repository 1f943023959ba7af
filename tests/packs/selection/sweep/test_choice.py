import math
import shlex
from typing import Any

import pytest

from sashiko.settings.recipe import load_recipe
from sashiko.settings.recipe_bias import BiasGate
from sashiko_packs.selection.report.sweep_page import choice_lines, headline
from sashiko_packs.selection.sweep import (
    best,
    choose,
    distance,
    inner_bounds,
    keeps_margin,
    read_sweep,
    sweep_folders,
    write_sweep,
)
from tests.packs.selection.sweep.sweeps import CHECK, curves, recipe, sweep


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


METRIC = "balanced_accuracy"


def value(point):
    return point.quality[METRIC].value


def test_the_best_of_what_will_do_is_recommended():
    result = sweep(recipe())
    will_do = [point for curve in result.curves for point in curve.points if not point.lacking]
    assert value(result.chosen.point) == max(map(value, will_do))
    assert result.chosen.point.lacking == ()
    assert max(value(p) for curve in result.curves for p in curve.points if p.lacking) > 0


def test_its_command_sets_what_it_says(tmp_path):
    config = recipe(evaluate={"threshold": {"policy": "fixed", "value": 0.9},
                            "bootstrap_replicates": 100})  # fmt: skip
    result = sweep(config)
    assert not result.chosen.point.by_policy
    arguments = shlex.split(result.chosen.command)
    assert arguments[:2] == ["sashiko", "run"]
    assert arguments[2::2] == ["--set"] * len(result.chosen.overrides)
    path = tmp_path / "recipe.yaml"
    path.write_text(config.model_dump_json())
    again = load_recipe(path, overrides=tuple(arguments[3::2]))
    assert again.reweighing.strength == result.chosen.strength
    assert again.evaluate.threshold.value == result.chosen.point.threshold


def test_a_recipe_that_is_best_already_is_left_alone():
    result = sweep(recipe(), handicaps=(0.3, 0.0))
    assert result.chosen.strength == result.recipe.reweighing.strength
    assert result.chosen.point.by_policy
    assert result.chosen.overrides == ()
    assert result.chosen.command == "sashiko run"
    assert list(choice_lines(result)) == ["the recipe has these values already: nothing to change"]


def test_of_equal_points_the_lower_strength_is_taken():
    equal_curves = curves(recipe(), (0.0, 0.0, 0.0))
    assert choose(equal_curves, recipe(), metric=METRIC, command="sashiko run").strength == 0


def test_where_none_will_do_each_strength_says_what_its_best_lacks():
    config = recipe(quality={"gates": [{"metric": "auc", "minimum": 0.99, "reason": "a dream"}]})
    result = sweep(config)
    assert result.chosen is None
    assert headline(result).startswith("None of ")
    lines = list(choice_lines(result))
    assert len(lines) == len(result.curves)
    assert all("fails auc" in line for line in lines)
    for curve in result.curves:
        fewest = min(len(point.lacking) for point in curve.points)
        assert len(best(curve, METRIC).lacking) == fewest


@pytest.mark.parametrize("handicaps", [(0.3, 0.1, 0.0), (0.2,)])
def test_nothing_beats_the_front_both_ways_and_something_beats_the_rest(handicaps):
    points = [
        (distance(point.bias[CHECK].value, "DI"), value(point), point.on_front)
        for curve in curves(recipe(), handicaps)
        for point in curve.points
        if point.bias[CHECK].value is not None
    ]

    def beaten(point):
        return any(
            other[0] <= point[0] and other[1] >= point[1] and other[:2] != point[:2]
            for other in points
        )

    assert any(front for *_, front in points)
    front = {point[:2] for point in points if point[2]}
    assert front == {point[:2] for point in points if not beaten(point)}


def test_a_sweep_reads_back_as_written_and_the_newest_is_first(tmp_path):
    older = sweep(recipe(), handicaps=(0.3, 0.0))
    newer = older.model_copy(update={"id": "20260102-030406-0001"})
    folder = write_sweep(older, tmp_path)
    write_sweep(newer, tmp_path)
    assert read_sweep(folder) == older
    assert [path.name for path in sweep_folders(tmp_path)] == [newer.id, older.id]
