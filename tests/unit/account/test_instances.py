"""What instance types have, held against those that SageMaker knows."""

from pathlib import Path
from typing import Any

import pytest

from sashiko.account.instances import (
    families_with_local_disk,
    has_local_disk,
    instance_map,
    settings_for,
    size_of,
    uses_efa,
)
from sashiko.base.yaml_models import Layer, read_yaml, validate_layers
from sashiko.errors import InputError
from sashiko.packs import enabled_packs
from sashiko.settings.environment import Settings, settings_model
from sashiko.settings.recipe import Recipe, load_recipe
from sashiko.settings.types import instance_types
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


def test_the_recipes_instance_type_is_taken_where_its_processes_and_plan_fit():
    settings = settings_for(_settings(), _recipe(instance_type="ml.p5.48xlarge", processes=8))
    assert settings.jobs.training.instance_type == "ml.p5.48xlarge"
    assert settings.jobs.training.max_runtime == _settings().jobs.training.max_runtime
    assert settings_for(_settings(), _recipe()) == _settings()
    with pytest.raises(InputError, match=r"ml\.g5\.xlarge has 1 accelerator\(s\)"):
        settings_for(_settings(), _recipe(processes=4))
    settings_for(_settings("local"), _recipe(processes=4))
    planned = _settings(instance_type="ml.p5.48xlarge", training_plan=_PLAN)
    with pytest.raises(InputError, match=r"train.distributed.instance_type.*no training plan"):
        settings_for(planned, _recipe(instance_type="ml.g6.12xlarge", processes=4))


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ("ml.g5.2xlarge", ""),
        ("ml.g6.xlarge", ""),
        ("ml.g5.12xlarge", "differs from ml.g5.xlarge in the number of its accelerators"),
        ("ml.trn1.2xlarge", "in the maker of its accelerators and the number"),
        ("ml.m5.2xlarge", "in disks of its own and the maker of its accelerators and"),
    ],
)
def test_a_fallback_is_a_type_that_runs_the_job_alike(other, message):
    settings, recipe = _settings(fallback_instance_types=[other]), _recipe()
    if message:
        with pytest.raises(InputError, match=f"fallback_instance_types`: {other} .*{message}"):
            settings_for(settings, recipe)
    else:
        assert settings_for(settings, recipe) == settings
    # A recipe that names its own type has no other.
    own = settings_for(settings, _recipe(instance_type="ml.g5.4xlarge"))
    assert own.jobs.training.fallback_instance_types == ()


@pytest.mark.parametrize(
    ("instance_type", "processes", "message"),
    [
        (
            "ml.trn1.2xlarge",
            4,
            r"4, but ml\.trn1\.2xlarge has 2 NeuronCores and each process needs one",
        ),
        ("ml.trn2.48xlarge", 64, None),
    ],
)
def test_trainium_has_a_process_for_each_neuroncore(instance_type, processes, message):
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
def test_what_does_not_train_on_trainium_is_refused(strategy, nodes):
    recipe = _recipe(instance_type="ml.trn1.32xlarge", strategy=strategy, nodes=nodes, processes=2)
    with pytest.raises(InputError, match=r"set `strategy: ddp`, `nodes: 1`"):
        settings_for(_settings(), recipe)


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
def test_efa_is_for_several_nodes_of_a_type_that_has_it(instance_type, nodes, *, expected):
    recipe = _recipe(instance_type=instance_type, nodes=nodes, processes=1 if nodes > 1 else 2)
    assert uses_efa(_settings(), recipe) is expected


JOBS = instance_types("ProcessingInstanceType") | instance_types("TrainingInstanceType")
KNOWN = JOBS | instance_types("ProductionVariantInstanceType")


def test_every_family_that_jobs_know_is_recorded_with_all_of_its_sizes():
    """A volume key for a family that was forgotten fails a run in its first seconds."""
    families = {name.split(".")[1] for name in JOBS}
    assert families - instance_map().families.keys() == set()
    # EC2's letter for local disks; accelerators have them without it.
    letters = {family for family in families if family.endswith(("d", "dn"))}
    assert letters <= set(families_with_local_disk())

    for name, family in instance_map().families.items():
        known = {kind.split(".")[2] for kind in KNOWN if kind.split(".")[1] == name}
        assert known, name
        assert not family.sizes or family.sizes.keys() == known


def test_training_plans_reserve_what_is_recorded_and_the_rest_is_unknown():
    ultra_server = {"ml.p6e-gb200.36xlarge"}  # one instance alone cannot be bought
    for kind in instance_types("ReservedCapacityInstanceType") - ultra_server:
        size = size_of(kind)
        assert size is not None
        assert size.efa
    assert size_of("ml.t3.medium") is None
    assert size_of("ml.x99.large") is None
    assert not has_local_disk("ml.p3.2xlarge")


@pytest.mark.parametrize(
    ("kind", "disk", "vcpus", "accelerators", "efa"),
    [
        ("ml.g5.xlarge", True, 4, 1, False),
        ("ml.p5.48xlarge", True, 192, 8, True),
        ("ml.inf2.48xlarge", False, 192, 12, False),
        ("ml.m5.large", False, 2, 0, False),
    ],
)
def test_a_type_is_known_by_family_and_size(kind, disk, vcpus, accelerators, efa):
    size = size_of(kind)
    assert size is not None
    assert (size.vcpus, size.accelerators, size.efa) == (vcpus, accelerators, efa)
    assert has_local_disk(kind) == disk
