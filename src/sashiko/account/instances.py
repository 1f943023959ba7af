"""Properties of instance types that do not depend on an account, from `instances.yaml`."""

import datetime as dt
from functools import cache
from pathlib import Path

from pydantic import Field

from sashiko.base.yaml_models import Frozen, read_yaml, validate

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
