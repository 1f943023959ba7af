"""The instances that a recipe trains on, in an environment."""

from sashiko.account.instances import size_of
from sashiko.base.yaml_models import validate
from sashiko.errors import InputError
from sashiko.settings.environment import Settings, file_of
from sashiko.settings.job_instances import JobsSection
from sashiko.settings.recipe import Recipe

_KEY = "train.distributed"


def settings_for(settings: Settings, recipe: Recipe) -> Settings:
    """Returns the environment's settings with the instance type that the recipe trains on.

    Raises:
        InputError: if the type does not go with the environment's capacity, has fewer accelerators
            than the recipe starts processes, or does not train by its strategy.
    """
    instance_type = recipe.train.distributed.instance_type
    if instance_type:
        values = settings.jobs.model_dump(mode="json")
        values["training"]["instance_type"] = instance_type
        source = (
            f"recipe {recipe.name}, `{_KEY}.instance_type`, in "
            f"{file_of('jobs', settings.environment)}, key `jobs`"
        )
        settings = settings.model_copy(
            update={"jobs": validate(JobsSection, values, source=source)}
        )
    # On this machine a job's instance has no meaning, unless the recipe itself names it.
    if instance_type or settings.tier != "local":
        _check_processes(settings, recipe)
    return settings


def uses_efa(settings: Settings, recipe: Recipe) -> bool:
    """Returns whether the training's nodes talk to each other by Elastic Fabric Adapter."""
    size = size_of(settings_for(settings, recipe).jobs.training.instance_type)
    return recipe.train.distributed.nodes > 1 and size is not None and size.efa


def _check_processes(settings: Settings, recipe: Recipe) -> None:
    processes = recipe.train.distributed.processes
    instance_type = settings.jobs.training.instance_type
    size = size_of(instance_type)
    if size is None:
        return
    places, kind = size.accelerators, "accelerator(s)"
    if size.cores:
        places, kind = size.cores, "NeuronCores"
        section = recipe.train.distributed
        if section.strategy == "fsdp" or section.nodes > 1:
            raise InputError(
                f"recipe {recipe.name}: key `{_KEY}`: on {instance_type} each NeuronCore has the "
                "whole model, and the processes of one instance meet: set `strategy: ddp`, "
                "`nodes: 1`"
            )
    if places and processes > places:
        raise InputError(
            f"recipe {recipe.name}: key `{_KEY}.processes`: {processes}, and {instance_type} has "
            f"{places} {kind}, one for each process: lower it, or choose another "
            f"`{_KEY}.instance_type`"
        )
