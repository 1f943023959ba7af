"""Target inf2: graphs that the Neuron compiler made, each on the NeuronCore of this process.

Not verified on hardware. Read for it: torch-neuronx's TorchScript interface as optimum-neuron
0.4.1 uses it (optimum/neuron/modeling_traced.py), and the runtime's environment variables.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from backend import CannotServeError, Ids, Machine, Scores
from bundle import Bucket, Bundle
from neuron_machine import Neuron, prepare

_LABELS = 2


def open_backend(folder: Path, bundle: Bundle, machine: Machine) -> "NeuronBackend":  # noqa: ARG001
    """Loads the graphs of an artifact: see `backend.open_backend`."""
    return NeuronBackend(folder, bundle.buckets, Neuron(**bundle.runtime))


class NeuronBackend:
    """Runs the graphs of one artifact."""

    def __init__(self, folder: Path, buckets: tuple[Bucket, ...], neuron: Neuron) -> None:
        """Loads every graph: a start-up has minutes, an invocation 60 seconds.

        Args:
            folder: the unpacked artifact.
            buckets: its compiled shapes.
            neuron: what they are tied to.

        Raises:
            CannotServeError: if packages, cores or devices are not what the graphs need.
        """
        prepare(neuron)
        self._inputs = neuron.inputs
        self._graphs = {bucket: load_graph(folder / bucket.graph) for bucket in buckets}

    def run(self, bucket: Bucket, ids: Ids, mask: Ids) -> Scores:
        """Scores one full bucket: see `backend.Backend`.

        Raises:
            ValueError: if a shape is not the compiled one; the runtime's own error would stop it.
        """
        shape = (bucket.batch, bucket.length)
        if ids.shape != shape or mask.shape != shape:
            raise ValueError(f"{bucket.graph} takes {shape}, not {ids.shape} and {mask.shape}")
        given = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
        with torch.no_grad():
            outputs = self._graphs[bucket](
                *[torch.from_numpy(given[name]) for name in self._inputs]
            )
        logits = outputs if isinstance(outputs, torch.Tensor) else outputs[0]
        if tuple(logits.shape) != (bucket.batch, _LABELS):
            raise ValueError(f"{bucket.graph} gave {tuple(logits.shape)}, not a row per text")
        scores: Scores = torch.softmax(logits.float(), dim=-1)[:, 1].numpy()
        return scores


def load_graph(path: Path) -> Callable[..., Any]:
    """Loads a graph onto the core that the runtime gave to this process.

    Raises:
        CannotServeError: if the runtime refuses it.
    """
    import torch_neuronx  # noqa: F401  it tells torch.jit how to read the file

    try:
        graph: Callable[..., Any] = torch.jit.load(str(path))
    except RuntimeError as error:
        raise CannotServeError(
            f"the Neuron runtime did not load {path.name}: {error}; if it names a NEFF version, "
            "the driver of the host is older than the image: set InferenceAmiVersion; if it says "
            "that cores are not available, another process holds them"
        ) from error
    return graph
