"""Training on an XLA device, such as a NeuronCore of AWS Trainium.

The trained weights, the optimiser and the checkpoints stay in the host's memory, and are those of a
training on a CPU. The device has a copy of the model, and computes logits and gradients of batches
of one shape, which is compiled once. A LoRA adapter is a few megabytes, so that taking gradients to
the host and weights back costs little. The processes average their gradients there as well: for
torch/XLA and the Neuron runtime each is a training of its own on one core.
"""

import copy
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from sashiko.training.compute import Batch, Compute, collate
from sashiko.training.examples import Examples
from sashiko.training.processes import Processes, step_seed

if TYPE_CHECKING:
    import torch

# What the elastic agent sets. torch/XLA takes a process that has them for one of several that
# exchange gradients by collectives of the device (torch_xla/_internal/neuron.py, 2.9.0).
_OF_AGENT = ("TORCHELASTIC_RUN_ID", "RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE")


def uses_xla() -> bool:
    """Returns whether the image trains by torch/XLA, which reads the same variable."""
    return "PJRT_DEVICE" in os.environ


def xla_device(*, local_rank: int) -> "torch.device":
    """Takes one core of this machine, by the number of the process.

    "Neuron Runtime Configuration" and "Developer Guide for Training with PyTorch NeuronX" (AWS
    Neuron SDK 2.29.1): a process has the cores that `NEURON_RT_VISIBLE_CORES` names, and the XLA
    device is the first of them. The runtime reads it when the device is first used.
    """
    os.environ["NEURON_RT_VISIBLE_CORES"] = str(local_rank)
    for name in _OF_AGENT:
        os.environ.pop(name, None)
    import torch_xla

    device: torch.device = torch_xla.device()
    return device


@dataclass(frozen=True)
class Replica(Compute):
    """A copy of the trained model on an XLA device."""

    trained: Mapping[str, Any]  # the trained weights by name, in the host's memory
    processes: Processes  # whose gradients are averaged
    length: int  # tokens of each batch: the longest row
    seed: int  # of the device's random numbers (dropout)
    _copies: Mapping[str, Any] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        copies = dict(self.model.named_parameters())
        object.__setattr__(self, "_copies", {name: copies[name] for name in self.trained})

    def start_step(self, step: int) -> None:
        """Seeds the random numbers of a step, so that no checkpoint has to hold them."""
        import torch_xla

        torch_xla.manual_seed(step_seed(self.seed, step, self.processes.rank))

    def batch(
        self, examples: Examples, rows: npt.NDArray[np.int64], *, pad: int, largest: int
    ) -> Batch:
        """Returns rows on the device, with rows that count 0 up to the one shape."""
        return collate(examples, rows, pad=pad, device=self.device, shape=(largest, self.length))

    def backward(self, loss: "torch.Tensor") -> float:
        """Adds the device's gradients to those of the weights in the host's memory."""
        import torch
        import torch_xla

        torch.autograd.backward(loss)
        torch_xla.sync()  # else each value that is read compiles and runs a graph of its own
        for name, weight in self.trained.items():
            gradient, self._copies[name].grad = self._copies[name].grad, None
            if gradient is not None:  # a weight that no logit depends on has none
                total = gradient.cpu()
                weight.grad = total if weight.grad is None else weight.grad + total
        return float(loss.item())

    def gather_gradients(self) -> None:
        """Averages the gradients over the processes."""
        gradients = (weight.grad for weight in self.trained.values())
        self.processes.average([gradient for gradient in gradients if gradient is not None])

    def read_weights(self) -> None:
        """Copies the trained weights to the device."""
        import torch_xla

        for name, weight in self.trained.items():
            self._copies[name].data.copy_(weight.data)
        torch_xla.sync()


def replicate(
    model: Any, device: "torch.device", processes: Processes, *, length: int, seed: int
) -> Replica:
    """Copies a model to a device of `xla_device`; it stays in the host's memory too.

    `length` is of each batch in tokens, `seed` that of the training.
    """
    copied = copy.deepcopy(model).to(device)
    trained = {name: weight for name, weight in model.named_parameters() if weight.requires_grad}
    return Replica(copied, copied, trained, processes, length, seed)
