"""Opens the backend of an artifact's target, which runs the compiled shapes."""

import importlib
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from bundle import EAGER_FOLDER, Bucket, Bundle
from numpy.typing import NDArray

Ids = NDArray[np.int64]
Values = NDArray[np.float64]
Scores = NDArray[np.float32]


class CannotServeError(Exception):
    """This machine or its settings do not fit the artifact; the message names cause and fix."""


class Backend(Protocol):
    """Runs the compiled shapes of one artifact."""

    def run(self, bucket: Bucket, ids: Ids, mask: "Ids | Values") -> Scores:
        """Scores one full bucket.

        Args:
            bucket: the compiled shape.
            ids: token ids, (bucket.batch, bucket.length), or fewer tokens a row where lengths are
                not fixed.
            mask: 1 for a token and 0 for padding, of the same shape; of a linear model, whose
                `ids` are features, their values.

        Returns:
            The probability of each row's classes, (bucket.batch, classes); or a number in
            standard deviations from the mean, (bucket.batch, 1).
        """


@dataclass(frozen=True)
class Machine:
    """The resources of this machine that a process may use.

    Attributes:
        threads: for each operator on a CPU; 0 for every core.
        gpu: the number of its GPU.
    """

    threads: int = 0
    gpu: int = 0


def open_backend(
    folder: Path, bundle: Bundle, machine: Machine, *, on_cpu: bool = False
) -> Backend:
    """Opens the backend of an artifact's target.

    Args:
        folder: the unpacked artifact.
        bundle: its `serving.json`. Its backend module defines
            `open_backend(folder, bundle, machine)`, which returns a `Backend`.
        machine: what the backend may use.
        on_cpu: run the trained model in an accelerator's artifact on the CPU instead.

    Raises:
        CannotServeError: if this machine or its settings do not fit the target.
    """
    # The image of a target contains only that target's runtime, so it is imported here.
    if on_cpu and (folder / EAGER_FOLDER).is_dir():
        from eager_backend import EagerBackend

        return EagerBackend(folder / EAGER_FOLDER, device="cpu")
    try:
        module = importlib.import_module(bundle.backend)
    except ModuleNotFoundError as error:
        if error.name != bundle.backend:
            raise
        raise CannotServeError(
            f"serving.json: target {bundle.target}: there is no code/{bundle.backend}.py in the "
            "artifact: run the pipeline again"
        ) from error
    backend: Backend = module.open_backend(folder, bundle, machine)
    return backend
