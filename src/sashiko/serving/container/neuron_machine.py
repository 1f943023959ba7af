"""Checks this machine and its settings before a Neuron graph is loaded.

The runtime's own messages name neither the setting nor the fix, and some of them come at the first
request, long after the deploy.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from backend import CannotServeError

CORES_PER_DEVICE = 2  # of Inferentia 2
_CORES = "NEURON_RT_NUM_CORES"
_VISIBLE = "NEURON_RT_VISIBLE_CORES"
_WORKERS = "SAGEMAKER_MODEL_SERVER_WORKERS"
# With these the toolkit would compile a model while the endpoint starts.
_COMPILES_AT_START = ("HF_MODEL_ID", "HF_OPTIMUM_BATCH_SIZE", "HF_OPTIMUM_SEQUENCE_LENGTH")
_DEVICES = Path("/dev")


@dataclass(frozen=True)
class Neuron:
    """The requirements of compiled Neuron graphs: `Bundle.runtime` of target inf2.

    Attributes:
        inputs: names of a graph's inputs, in their order.
        cores: NeuronCores of one copy of the model.
        packages: package -> the version that compiled them; others may refuse to load them.
    """

    inputs: Sequence[str]
    cores: int
    packages: Mapping[str, str]


def prepare(neuron: Neuron) -> None:
    """Checks packages, settings and devices, and takes as many cores as the graphs need.

    Call it before the runtime starts: without `NEURON_RT_NUM_CORES`, the first of several workers
    takes every core.

    Raises:
        CannotServeError: if a requirement is not met, with the fix.
    """
    check_packages(neuron.packages)
    for name in _COMPILES_AT_START:
        if name in os.environ:
            raise CannotServeError(
                f"{name} is set, which makes the toolkit compile a model while the endpoint "
                "starts; this artifact is compiled already: unset it"
            )
    devices = len([path for path in _DEVICES.glob("neuron*") if path.name[6:].isdigit()])
    check_cores(neuron.cores, devices=devices, environment=os.environ)
    os.environ[_CORES] = str(neuron.cores)


def check_packages(expected: Mapping[str, str]) -> None:
    """Checks that the versions that compiled the graphs are installed; others may not load them.

    Raises:
        CannotServeError: if a version differs.
    """
    for name, compiled_with in expected.items():
        try:
            installed = version(name)
        except PackageNotFoundError as error:
            raise CannotServeError(
                f"the artifact is compiled for inf2, and {name} is not installed here: serve it in "
                "the image of its compile lock on ml.inf2; on this machine compile for cpu "
                "(compile.target)"
            ) from error
        if installed != compiled_with:
            raise CannotServeError(
                f"the artifact was compiled with {name} {compiled_with}, and {installed} is "
                "installed: serve it in the image of its compile lock, or run the pipeline again "
                "for this image"
            )


def check_cores(cores: int, *, devices: int, environment: Mapping[str, str]) -> None:
    """Checks that every worker gets the cores that a copy of the model needs.

    Args:
        cores: NeuronCores of one copy.
        devices: Inferentia chips of this machine.
        environment: the process's environment variables.

    Raises:
        CannotServeError: if a setting does not fit, with its valid value.
    """
    if devices == 0:
        raise CannotServeError(
            "this machine has no Neuron device (/dev/neuron0): serve on ml.inf2, with the "
            "InferenceAmiVersion of the Neuron driver"
        )
    if int(environment.get(_CORES, cores)) != cores:
        raise CannotServeError(
            f"{_CORES}={environment[_CORES]}: the artifact is compiled for {cores} a worker"
        )
    if _VISIBLE in environment:
        raise CannotServeError(
            f"{_VISIBLE} is set, which gives every worker the same cores: unset it, and the "
            f"runtime gives each its own {cores}"
        )
    workers, available = int(environment.get(_WORKERS, "1")), devices * CORES_PER_DEVICE
    if workers * cores > available:
        raise CannotServeError(
            f"{_WORKERS}={workers}, each with {cores} of the {available} NeuronCores here: set at "
            f"most {available // cores}"
        )
