"""Properties of instance types that do not depend on an account, from `instances.yaml`."""

import datetime as dt
from functools import cache
from pathlib import Path

from pydantic import Field

from sashiko.base.yaml_models import Frozen, read_yaml, validate
from sashiko.errors import InputError
from sashiko.settings.environment import Settings, file_of
from sashiko.settings.environment_sections import JobsSection, ProcessingJob, TrainingJob
from sashiko.settings.recipe import Recipe

_FILE = Path(__file__).with_name("instances.yaml")


class Size(Frozen):
    """What one type of a family has."""

    vcpus: int = Field(ge=1)
    accelerators: int = Field(0, ge=0)
    cores: int = Field(0, ge=0)  # NeuronCores of all accelerators of a Trainium
    efa: bool = False  # whether it supports Elastic Fabric Adapter


class Family(Frozen):
    """A family of instance types, such as `g5`."""

    local_disk: bool  # instance store volumes, for which SageMaker refuses a volume key
    accelerator: str | None = None  # maker and name
    sizes: dict[str, Size] = Field(default_factory=dict)  # size, such as `xlarge` -> what it has
    source: str | None = None  # where it was read, if not where the others were


class InstanceMap(Frozen):
    """The families, and where and when their properties were read."""

    read: dt.date
    source: str
    families: dict[str, Family]


@cache
def instance_map() -> InstanceMap:
    """Reads the packaged file."""
    return validate(InstanceMap, read_yaml(_FILE), source=str(_FILE))


def families_with_local_disk() -> tuple[str, ...]:
    """Returns the families of SageMaker's jobs that have instance store volumes, sorted."""
    families = instance_map().families
    return tuple(sorted(name for name, family in families.items() if family.local_disk))


def has_local_disk(instance_type: str) -> bool:
    """Returns whether an instance type, such as `ml.g5.xlarge`, has instance store volumes."""
    return instance_type.split(".")[1] in families_with_local_disk()


def size_of(instance_type: str) -> Size | None:
    """Returns what an instance type has, or None if that is not recorded."""
    family, _, size = instance_type.removeprefix("ml.").partition(".")
    known = instance_map().families.get(family)
    return known.sizes.get(size) if known else None


_KEY = "train.distributed"


def settings_for(settings: Settings, recipe: Recipe) -> Settings:
    """Returns the environment's settings with the instance type that the recipe trains on.

    InputError if the type does not go with the environment's capacity, has fewer accelerators than
    the recipe starts processes, or does not train by its strategy.
    """
    instance_type = recipe.train.distributed.instance_type
    if instance_type:
        values = settings.jobs.model_dump(mode="json")
        values["training"] |= {"instance_type": instance_type, "fallback_instance_types": ()}
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
        _check_fallbacks(settings)
    return settings


def _check_fallbacks(settings: Settings) -> None:
    """Checks that a job runs the same on each of its types.

    SageMaker selects by capacity alone, and volume and key are those of whichever type it takes
    ("Instance preference lists for training jobs", Amazon SageMaker AI Developer Guide). A type
    with disks of its own takes no key.
    """
    jobs = settings.jobs
    sections: dict[str, ProcessingJob | TrainingJob] = {
        "processing": jobs.processing,
        "scoring": jobs.scoring,
        "training": jobs.training,
    }
    for kind, job in sections.items():
        for other in job.fallback_instance_types:
            ours, theirs = _traits(job.instance_type), _traits(other)
            if unlike := [name for name in ours if theirs[name] != ours[name]]:
                raise InputError(
                    f"{file_of('jobs', settings.environment)}: key "
                    f"`jobs.{kind}.fallback_instance_types`: {other} differs from "
                    f"{job.instance_type} in {' and '.join(unlike)}; a job has to run the same on "
                    "each, so name another type"
                )


def _traits(instance_type: str) -> dict[str, object]:
    size = size_of(instance_type) or Size(vcpus=1)
    family = instance_map().families.get(instance_type.split(".")[1])
    return {
        "disks of its own": has_local_disk(instance_type),
        "the maker of its accelerators": str(family and family.accelerator).split()[0],
        "the number of its accelerators": (size.accelerators, size.cores),
        "Elastic Fabric Adapter": size.efa,
    }


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
                f"recipe {recipe.name}: key `{_KEY}`: on {instance_type} each NeuronCore holds "
                "the whole model, and only processes of one instance work together: set "
                "`strategy: ddp`, `nodes: 1`"
            )
    if places and processes > places:
        raise InputError(
            f"recipe {recipe.name}: key `{_KEY}.processes`: {processes}, but {instance_type} has "
            f"{places} {kind} and each process needs one: lower it, or choose another "
            f"`{_KEY}.instance_type`"
        )
