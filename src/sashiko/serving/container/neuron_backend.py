"""Backend of target inf2: compiled Neuron graphs, all on the NeuronCore of this process.

Not verified on hardware. Sources: torch-neuronx's TorchScript interface as optimum-neuron
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


def open_backend(folder: Path, bundle: Bundle, machine: Machine) -> "NeuronBackend":  # noqa: ARG001 - the same arguments for each target
    """Loads the graphs of an artifact: see `backend.open_backend`."""
    neuron = Neuron(**bundle.runtime)
    return NeuronBackend(folder, bundle.buckets, neuron, outputs=bundle.outputs)


class NeuronBackend:
    """Runs the graphs of one artifact."""

    def __init__(
        self, folder: Path, buckets: tuple[Bucket, ...], neuron: Neuron, *, outputs: int
    ) -> None:
        """Loads every graph now: a start-up may take minutes, an invocation 60 seconds.

        Args:
            folder: the unpacked artifact.
            buckets: its compiled shapes.
            neuron: the requirements of its graphs.
            outputs: the number of logits of a row.

        Raises:
            CannotServeError: if packages, cores or devices are not what the graphs need.
        """
        prepare(neuron)
        self._inputs, self._outputs = neuron.inputs, outputs
        self._graphs = {bucket: load_graph(folder / bucket.graph) for bucket in buckets}

    def run(self, bucket: Bucket, ids: Ids, mask: Ids) -> Scores:
        """Scores one full bucket: see `backend.Backend`.

        Raises:
            ValueError: if a shape is not the compiled one; the runtime would stop the process.
        """
        shape = (bucket.batch, bucket.length)
        if ids.shape != shape or mask.shape != shape:
            raise ValueError(f"{bucket.graph} takes {shape}, not {ids.shape} and {mask.shape}")
        inputs = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
        with torch.no_grad():
            outputs = self._graphs[bucket](
                *[torch.from_numpy(inputs[name]) for name in self._inputs]
            )
        logits = outputs if isinstance(outputs, torch.Tensor) else outputs[0]
        if tuple(logits.shape) != (bucket.batch, self._outputs):
            raise ValueError(f"{bucket.graph} returned {tuple(logits.shape)}, not a row per text")
        logits = logits.float()  # of a number, it is the score itself
        scores: Scores = (logits if self._outputs == 1 else torch.softmax(logits, dim=-1)).numpy()
        return scores


def load_graph(path: Path) -> Callable[..., Any]:
    """Loads a graph onto the core that the runtime assigned to this process.

    Raises:
        CannotServeError: if the runtime refuses it.
    """
    import torch_neuronx  # noqa: F401  torch.jit needs it to read the file

    try:
        graph: Callable[..., Any] = torch.jit.load(str(path))
    except RuntimeError as error:
        raise CannotServeError(
            f"the Neuron runtime did not load {path.name}: {error}; if it names a NEFF version, "
            "the driver of the host is older than the image: set InferenceAmiVersion; if it says "
            "that cores are not available, another process holds them"
        ) from error
    return graph
