"""The instances that a recipe trains on, in an environment."""

from pathlib import Path
from typing import Any

import pytest

from sashiko.account.instances import settings_for, uses_efa
from sashiko.base.yaml_models import Layer, read_yaml, validate_layers
from sashiko.errors import InputError
from sashiko.packs import enabled_packs
from sashiko.settings.environment import Settings, settings_model
from sashiko.settings.recipe import Recipe, load_recipe
from tests.project_root import REPOSITORY

_BASE = Layer("base", read_yaml(REPOSITORY / "config/base.yaml"))
_PLAN = "arn:aws:sagemaker:us-east-1:111122223333:training-plan/spring"


def _settings(tier: str = "dev", **training: Any) -> Settings:
    own = {"account": "111122223333", "environment": "dev", "tier": tier}
    return validate_layers(
        settings_model(enabled_packs()),
        [_BASE, Layer("dev", own | {"jobs": {"training": training}})],
    )


def _recipe(**section: Any) -> Recipe:
    values = {"strategy": "fsdp", "nodes": 2, "processes": 1} | section
    overrides = tuple(f"train.distributed.{key}={value}" for key, value in values.items())
    return load_recipe(Path("recipes/complaints.yaml"), overrides=overrides)


def test_the_recipes_instance_type_goes_over_the_environments() -> None:
    settings = settings_for(_settings(), _recipe(instance_type="ml.p5.48xlarge", processes=8))
    assert settings.jobs.training.instance_type == "ml.p5.48xlarge"
    assert settings.jobs.training.max_runtime == _settings().jobs.training.max_runtime
    assert settings_for(_settings(), _recipe()) == _settings()


def test_more_processes_than_accelerators_are_refused_where_a_job_has_an_instance() -> None:
    with pytest.raises(InputError, match=r"ml\.g5\.xlarge has 1 accelerator\(s\)"):
        settings_for(_settings(), _recipe(processes=4))
    settings_for(_settings("local"), _recipe(processes=4))


@pytest.mark.parametrize(
    ("instance_type", "processes", "message"),
    [
        ("ml.trn1.2xlarge", 4, r"4, and ml\.trn1\.2xlarge has 2 NeuronCores, one for each process"),
        ("ml.trn2.48xlarge", 64, None),
    ],
)
def test_trainium_has_a_process_for_each_neuroncore(
    instance_type: str, processes: int, message: str | None
) -> None:
    recipe = load_recipe(
        Path("recipes/complaints-llm-trn1.yaml"),
        overrides=(
            "train.batch_size=64",
            f"train.distributed.instance_type={instance_type}",
            f"train.distributed.processes={processes}",
        ),
    )
    if message is None:
        assert settings_for(_settings(), recipe).jobs.training.instance_type == instance_type
        return
    with pytest.raises(InputError, match=message):
        settings_for(_settings(), recipe)


@pytest.mark.parametrize(("strategy", "nodes"), [("fsdp", 1), ("ddp", 2)])
def test_what_does_not_train_on_trainium_is_refused(strategy: str, nodes: int) -> None:
    recipe = _recipe(instance_type="ml.trn1.32xlarge", strategy=strategy, nodes=nodes, processes=2)
    with pytest.raises(InputError, match=r"set `strategy: ddp`, `nodes: 1`"):
        settings_for(_settings(), recipe)


def test_a_type_that_the_environments_training_plan_cannot_reserve_is_refused() -> None:
    planned = _settings(instance_type="ml.p5.48xlarge", training_plan=_PLAN)
    with pytest.raises(InputError, match=r"train.distributed.instance_type.*no training plan"):
        settings_for(planned, _recipe(instance_type="ml.g6.12xlarge", processes=4))


@pytest.mark.parametrize(
    ("instance_type", "nodes", "expected"),
    [
        ("ml.p5.48xlarge", 2, True),
        ("ml.p5.48xlarge", 1, False),
        ("ml.g6.12xlarge", 2, True),
        ("ml.g6.xlarge", 2, False),
        ("ml.m5.2xlarge", 2, False),
    ],
)
def test_efa_is_for_several_nodes_of_a_type_that_has_it(
    instance_type: str, nodes: int, *, expected: bool
) -> None:
    recipe = _recipe(instance_type=instance_type, nodes=nodes, processes=1 if nodes > 1 else 2)
    assert uses_efa(_settings(), recipe) is expected
