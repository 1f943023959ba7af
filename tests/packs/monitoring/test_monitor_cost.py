"""What monitoring may cost a month at most."""

import json
from pathlib import Path

import pytest

from sashiko.settings.recipe import load_recipe
from sashiko_packs.monitoring.cost import monitoring_costs


@pytest.mark.parametrize(
    ("changes", "runs"),
    [
        ({}, 2),
        ({"retrain": "off"}, 0),
        ({"retrain_cooldown_days": 31}, 1),
        ({"retrain_cooldown_days": 1}, 3),
        ({"retrain_cooldown_days": 10, "retrain_most_per_year": 52}, 4),
    ],
)
def test_the_ceiling_of_a_month_follows_from_the_recipes_guards(changes, runs) -> None:
    overrides = tuple(f"monitor.{key}={json.dumps(value)}" for key, value in changes.items())
    recipe = load_recipe(Path("recipes/complaints.yaml"), overrides=overrides)
    costs = monitoring_costs(recipe, run=(), jobs=())
    assert f"{runs} runs of the pipeline" in costs.months[1][1]
