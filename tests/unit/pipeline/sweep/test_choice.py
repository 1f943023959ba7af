"""What is recommended, what is not, and what lies on the front."""

import shlex

import pytest

from sashiko.pipeline.sweep.choice import best, choose, distance
from sashiko.pipeline.sweep.record import read_sweep, sweep_folders, write_sweep
from sashiko.pipeline.sweep.words import choice_lines, headline
from sashiko.settings.recipe import load_recipe
from tests.unit.pipeline.sweep.sweeps import CHECK, curves, recipe, sweep

METRIC = "balanced_accuracy"


def value(point):
    return point.quality[METRIC].value


def test_the_best_of_what_will_do_is_recommended():
    found = sweep(recipe())
    will_do = [point for curve in found.curves for point in curve.points if not point.lacking]
    assert value(found.chosen.point) == max(map(value, will_do))
    assert found.chosen.point.lacking == ()
    assert max(value(p) for curve in found.curves for p in curve.points if p.lacking) > 0


def test_its_command_sets_what_it_says(tmp_path):
    used = recipe(evaluate={"threshold": {"policy": "fixed", "value": 0.9},
                            "bootstrap_replicates": 100})  # fmt: skip
    found = sweep(used)
    assert not found.chosen.point.by_policy
    arguments = shlex.split(found.chosen.command)
    assert arguments[:2] == ["sashiko", "run"]
    assert arguments[2::2] == ["--set"] * len(found.chosen.overrides)
    path = tmp_path / "recipe.yaml"
    path.write_text(used.model_dump_json())
    again = load_recipe(path, overrides=tuple(arguments[3::2]))
    assert again.reweighing.strength == found.chosen.strength
    assert again.evaluate.threshold.value == found.chosen.point.threshold


def test_a_recipe_that_is_best_already_is_left_alone():
    found = sweep(recipe(), handicaps=(0.3, 0.0))
    assert found.chosen.strength == found.recipe.reweighing.strength
    assert found.chosen.point.by_policy
    assert found.chosen.overrides == ()
    assert found.chosen.command == "sashiko run"
    assert list(choice_lines(found)) == ["the recipe says so already: nothing is to be changed"]


def test_of_equal_points_the_lower_strength_is_taken():
    found = curves(recipe(), (0.0, 0.0, 0.0))
    assert choose(found, recipe(), metric=METRIC, command="sashiko run").strength == 0


def test_where_none_will_do_each_strength_says_what_its_best_lacks():
    used = recipe(quality={"gates": [{"metric": "auc", "minimum": 0.99, "reason": "a dream"}]})
    found = sweep(used)
    assert found.chosen is None
    assert headline(found).startswith("None of ")
    lines = list(choice_lines(found))
    assert len(lines) == len(found.curves)
    assert all("fails auc" in line for line in lines)
    for curve in found.curves:
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

    def beaten(at):
        return any(
            other[0] <= at[0] and other[1] >= at[1] and other[:2] != at[:2] for other in points
        )

    assert any(front for *_, front in points)
    front = {at[:2] for at in points if at[2]}
    assert front == {at[:2] for at in points if not beaten(at)}


def test_a_sweep_reads_back_as_written_and_the_newest_is_first(tmp_path):
    older = sweep(recipe(), handicaps=(0.3, 0.0))
    newer = older.model_copy(update={"id": "20260102-030406-0001"})
    folder = write_sweep(older, tmp_path)
    write_sweep(newer, tmp_path)
    assert read_sweep(folder) == older
    assert [path.name for path in sweep_folders(tmp_path)] == [newer.id, older.id]
