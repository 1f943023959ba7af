"""What a compiled shape runs on, chosen by the artifact's target."""

from pathlib import Path
from typing import Protocol

import numpy as np
from bundle import EAGER_FOLDER, Bucket, Bundle
from numpy.typing import NDArray

Ids = NDArray[np.int64]
Scores = NDArray[np.float32]


class CannotServeError(Exception):
    """This machine or its settings do not fit the artifact; the message says how, and the fix."""


class Backend(Protocol):
    """Runs the compiled shapes of one artifact."""

    def run(self, bucket: Bucket, ids: Ids, mask: Ids) -> Scores:
        """Scores one full bucket.

        Args:
            bucket: which one.
            ids: token ids, (bucket.batch, bucket.length).
            mask: 1 for a token and 0 for padding, of the same shape.

        Returns:
            P(positive) of each row, (bucket.batch,).
        """


def open_backend(
    folder: Path, bundle: Bundle, *, threads: int, on_cpu: bool = False, gpu: int = 0
) -> Backend:
    """Opens what the artifact's target says.

    Args:
        folder: the unpacked artifact.
        bundle: its `serving.json`.
        threads: for each operator on a CPU; 0 lets the runtime take every core.
        on_cpu: of an artifact for an accelerator, run the model that it was compiled from, which
            lies in it, on the CPU.
        gpu: which one, of target gpu.

    Raises:
        CannotServeError: if this machine lacks what the target needs, or is set up for another.
    """
    # Each runtime is in its own image alone, so each is imported only where it is used.
    if bundle.target == "cpu":
        from onnx_backend import OnnxBackend

        return OnnxBackend(folder, threads=threads)
    if bundle.target == "gpu" or on_cpu:
        from eager_backend import EagerBackend

        return EagerBackend(folder / EAGER_FOLDER, device="cpu" if on_cpu else f"cuda:{gpu}")
    if bundle.target == "inf2" and bundle.neuron is not None:
        from neuron_backend import NeuronBackend

        return NeuronBackend(folder, bundle.buckets, bundle.neuron)
    raise CannotServeError(f"serving.json: unknown target {bundle.target}; known: cpu, gpu, inf2")
