"""Batches of rows of similar length, and where their logits and gradients are computed."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from sashiko.training.examples import Examples

if TYPE_CHECKING:
    import torch

_POOL_BATCHES = 50


@dataclass(frozen=True)
class Batch:
    """Rows padded to the longest of them, or to a shape."""

    inputs: dict[str, "torch.Tensor"]  # `input_ids` and `attention_mask`, int64, (rows, tokens)
    labels: "torch.Tensor"  # as of `Examples`, (rows,)
    weights: "torch.Tensor"  # float32, (rows,)
    tokens: int  # how many tokens are not padding


def epoch_batches(
    lengths: npt.NDArray[np.int64], *, batch_size: int, seed: int, epoch: int
) -> list[npt.NDArray[np.int64]]:
    """Returns the row numbers of each batch of one epoch.

    Rows are shuffled, cut into pools of 50 batches, sorted by length within each pool, and the
    batches are shuffled again: little padding, and no order by length. The result depends only on
    the arguments, so a resumed run gets the same batches.
    """
    generator = np.random.default_rng([seed, epoch])
    order = generator.permutation(len(lengths))
    pool = batch_size * _POOL_BATCHES
    pools = [order[start : start + pool] for start in range(0, len(order), pool)]
    order = np.concatenate([rows[np.argsort(lengths[rows], kind="stable")] for rows in pools])
    batches = [order[start : start + batch_size] for start in range(0, len(order), batch_size)]
    return [batches[index] for index in generator.permutation(len(batches))]


def ordered_batches(
    lengths: npt.NDArray[np.int64], *, batch_size: int
) -> Iterator[npt.NDArray[np.int64]]:
    """Yields row numbers from the shortest row to the longest, for scoring."""
    order = np.argsort(lengths, kind="stable")
    for start in range(0, len(order), batch_size):
        yield order[start : start + batch_size]


def collate(
    examples: Examples,
    rows: npt.NDArray[np.int64],
    *,
    pad: int,
    device: "torch.device",
    shape: tuple[int, int] | None = None,
) -> Batch:
    """Fills short rows up with the token id `pad`, and moves them to the device.

    `rows` are numbers of rows, at least one. `shape` is (rows, tokens) of the batch, for a device
    that compiles each shape; the first row fills it up, and counts 0. None: the rows, and the
    longest of them.
    """
    import torch

    count = len(rows)
    if shape:
        rows = np.concatenate([rows, np.repeat(rows[:1], shape[0] - count)])
    lengths = examples.lengths[rows]
    ids = np.full((len(rows), shape[1] if shape else int(lengths.max())), pad, dtype=np.int64)
    mask = np.arange(ids.shape[1]) < lengths[:, None]
    starts = examples.offsets[rows]
    ids[mask] = np.concatenate(
        [examples.tokens[start : start + n] for start, n in zip(starts, lengths, strict=True)]
    )
    weights = examples.weights[rows]
    weights[count:] = 0
    return Batch(
        inputs={
            "input_ids": torch.from_numpy(ids).to(device),
            "attention_mask": torch.from_numpy(mask.astype(np.int64)).to(device),
        },
        labels=torch.from_numpy(examples.labels[rows]).to(device),
        weights=torch.from_numpy(weights).to(device),
        tokens=int(lengths[:count].sum()),
    )


@dataclass(frozen=True)
class Compute:
    """Computes by the model that is trained, where it is."""

    model: Any  # computes logits; of several processes, this one's share
    forward: Callable[..., Any]  # computes them in training (`Processes.place`)

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
        """Returns rows on the device; a batch of their kind has at most `largest`."""
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
