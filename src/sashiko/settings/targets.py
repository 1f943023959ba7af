"""Compile targets: the files that make and serve an artifact, and the machines that it runs on."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from sashiko.base.plugins import load
from sashiko.settings.types import Dtype, ImageName

__all__ = ["Target"]

CompileOption = Literal["auto_cast", "quantization"]


@dataclass(frozen=True, kw_only=True)
class Target:
    """A compile target; a recipe names it in `compile.target`.

    The files run in images that contain neither the engine nor the project: they import each other
    and the engine's files in `serving/container/` as siblings, and must parse as Python 3.10.
    """

    # The file that Compile runs. It defines `export(model, folder, settings)`, which writes the
    # compiled model into the artifact's folder (`container/export.py`).
    exporter: Path
    # The file that serves. It defines `open_backend(folder, bundle, machine)`, which returns a
    # `Backend` (`container/backend.py`); it becomes a part of the artifact.
    backend: Path
    modules: tuple[Path, ...] = ()  # further files of the artifact, which `backend` imports
    image: ImageName  # the serving image, by its name in `account/images/images.yaml`
    # The image of Compile: the job image, or the serving image if the artifact depends on the
    # versions in it.
    compiled_in: Literal["job", "serving"] = "job"
    families: tuple[str, ...]  # the instance families that the image runs on, such as `c7i`
    instance_type: str  # serves the model unless `serving.instance_types` names another type
    # Whether it needs a device that jobs and laptops lack. The artifact then also contains the
    # trained model, which Score runs on a CPU; DeviceCheck bounds the difference on the device.
    accelerated: bool = False
    encoders_only: bool = False  # whether it cannot serve causal LMs
    causal_only: bool = False  # whether it serves nothing else
    # Whether `backend` runs the ONNX graph of a linear model, which `export_linear.py` writes.
    serves_linear: bool = False
    # The values of the recipe's `compile.dtype` that it serves.
    dtypes: tuple[Dtype, ...] = ("float32",)
    # The target-specific keys of the recipe's `compile` section that it supports.
    options: tuple[CompileOption, ...] = ()
    # `InferenceAmiVersion`, which pins the driver; None leaves it to SageMaker.
    ami: str | None = None
    # Instance type -> accelerator cores, each with a worker process; one worker on others.
    cores: Mapping[str, int] = field(default_factory=dict)
    # Further variables of the serving container.
    environment: Mapping[str, str] = field(default_factory=dict)
    # CloudWatch metrics of the instances, for the endpoint's dashboard
    utilization: tuple[str, ...] = ("CPUUtilization", "MemoryUtilization", "DiskUtilization")

    def serves_on(self, instance_type: str) -> bool:
        """Returns whether the image runs on an instance type, such as `ml.inf2.xlarge`."""
        return instance_type.split(".")[1] in self.families

    def serving_types(self, known: Iterable[str]) -> list[str]:
        """Returns the known instance types that the image runs on, sorted."""
        return sorted(name for name in known if self.serves_on(name))


def load_target(name: str, *, key: str = "compile.target") -> Target:
    """Imports a compile target.

    Args:
        name: an entry point in the group `sashiko.targets`, or `package.module:attribute`.
        key: the key in the settings file, for errors.

    Raises:
        InputError: with key, reference and fix, if it cannot be imported or is not a target.
    """
    target: Target = load("targets", name, key=key)
    return target
