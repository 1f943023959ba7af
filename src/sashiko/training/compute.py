"""Where a training's logits and gradients are computed: by the model itself, or by a copy."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from sashiko.training.batches import Batch, collate
from sashiko.training.examples import Examples

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Compute:
    """Computes by the model that is trained, where it is.

    Attributes:
        model: computes logits; of several processes, this one's share.
        forward: computes them in training (`Processes.place`).
    """

    model: Any
    forward: Callable[..., Any]

    @property
    def device(self) -> "torch.device":
        """Where it computes."""
        device: torch.device = self.model.device
        return device

    def start_step(self, step: int) -> None:
        """Prepares the device's random numbers of a step."""

    def batch(
        self,
        examples: Examples,
        rows: npt.NDArray[np.int64],
        *,
        pad: int,
        largest: int,  # noqa: ARG002 - of a device that compiles each shape
    ) -> Batch:
        """Returns rows on the device.

        Args:
            examples: the split.
            rows: numbers of its rows.
            pad: the token id that fills short rows.
            largest: how many rows a batch of this kind has at most.
        """
        return collate(examples, rows, pad=pad, device=self.device)

    def backward(self, loss: "torch.Tensor") -> float:
        """Adds a loss's gradients to those of the weights, and returns the loss."""
        import torch

        torch.autograd.backward(loss)
        return float(loss.item())

    def gather_gradients(self) -> None:
        """Averages the gradients over the processes, unless `forward` has done so."""

    def read_weights(self) -> None:
        """Takes over the weights that the optimiser or a checkpoint has changed."""
