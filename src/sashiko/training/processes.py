"""The processes of a training: who has which rows, what is summed, and how the model is spread.

`Processes` itself is a training by one process. `Group` is one of several, by torch.distributed:
the loop, its batches and its losses are the same.
"""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from signal import SIGTERM
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np
import numpy.typing as npt

from sashiko.evaluation.metrics.arrays import Floats
from sashiko.training.checkpoint import CheckpointStore, Position
from sashiko.training.sharded_checkpoint import ShardedStore

if TYPE_CHECKING:
    import torch

_Rows = npt.NDArray[np.int64]


class Store(Protocol):
    """The checkpoints of a training."""

    def save(self, position: Position, model: Any, optimiser: "torch.optim.Optimizer") -> None:
        """Replaces the checkpoint."""

    def load(self, model: Any, optimiser: "torch.optim.Optimizer") -> Position:
        """Restores the most advanced checkpoint, and returns its position."""

    def remove(self) -> None:
        """Removes the checkpoints of this training."""


@dataclass(frozen=True)
class Processes:
    """A training by one process.

    Attributes:
        rank: the number of this process.
        world_size: how many processes there are.
        local_rank: the number of this process on its node.
    """

    rank: int = 0
    world_size: int = 1
    local_rank: int = 0

    @property
    def is_first(self) -> bool:
        """Whether this process speaks for all, and writes the model."""
        return self.rank == 0

    def parts(self, rows: _Rows, *, count: int) -> Iterator[tuple[_Rows, float]]:
        """Yields this process's rows of a batch in at most `count` parts, and what a part counts.

        Every process gets equally many parts, as each part is a step that all take together. A
        part without rows is one of the batch's rows that counts 0. Any other counts `world_size`
        times, as gradients are averaged over the processes.
        """
        own = rows[self.rank :: self.world_size]
        largest = -(-len(rows) // self.world_size)
        for part in np.array_split(own, min(count, largest)):
            yield (part, self.world_size) if len(part) else (rows[:1], 0.0)

    def place(self, model: Any, device: "torch.device") -> Callable[..., Any]:
        """Moves a model to the device, and returns what computes its logits in training."""
        model.to(device)
        forward: Callable[..., Any] = model
        return forward

    def start_step(self, step: int) -> None:
        """Prepares the random numbers of a step; those of one process are in its checkpoint."""

    def mean(self, value: float) -> float:
        """Returns the mean of a number over the processes."""
        return value

    def sum(self, values: Floats) -> Floats:
        """Returns the sum of float64 arrays of one shape over the processes."""
        return values

    def average(self, gradients: "list[torch.Tensor]") -> None:
        """Replaces gradients in the host's memory by their mean over the processes."""

    def agree(self, signal: int | None) -> int | None:
        """Returns the signal that any process has received."""
        return signal

    def store(self, folder: Path, *, fingerprint: str, job: str) -> Store:
        """Returns the checkpoints of a training, as `CheckpointStore` takes them."""
        return CheckpointStore(folder, fingerprint=fingerprint, job=job)

    def whole_weights(self, model: Any) -> dict[str, Any] | None:  # noqa: ARG002 - it is whole
        """Returns the trained weights of a sharded model by name; None if the model is whole."""
        return None

    def wait(self) -> None:
        """Waits for all other processes."""


@dataclass(frozen=True)
class Group(Processes):
    """A training by several processes, of which this is one.

    Attributes:
        strategy: how the model is spread.
        seed: of the random numbers of steps.
        launcher: the id of the process that started this one.
    """

    strategy: Literal["ddp", "fsdp"] = "ddp"
    seed: int = 0
    launcher: int = field(default_factory=os.getppid)

    def place(self, model: Any, device: "torch.device") -> Callable[..., Any]:
        """Spreads the model over the processes."""
        if self.strategy == "ddp":
            from torch.nn.parallel import DistributedDataParallel

            # `static_graph`: a family's classifier may have weights that no logit depends on.
            return DistributedDataParallel(model.to(device), static_graph=True)
        from torch.distributed.device_mesh import init_device_mesh
        from torch.distributed.fsdp import fully_shard

        from sashiko.training.model import layers_of

        mesh = init_device_mesh(device.type, (self.world_size,))
        # Layer by layer, so that a device never holds more than its shards and one whole layer.
        for module in (*layers_of(model), model):
            fully_shard(module, mesh=mesh)
        forward: Callable[..., Any] = model
        return forward

    def start_step(self, step: int) -> None:
        """Seeds the random numbers (dropout) of a step, so that no checkpoint has to hold them."""
        import torch

        (seed,) = np.random.SeedSequence([self.seed, step, self.rank]).generate_state(1)
        torch.manual_seed(int(seed))

    def mean(self, value: float) -> float:
        """Returns the mean over the processes."""
        return float(self.sum(np.array([value]))[0]) / self.world_size

    def sum(self, values: Floats) -> Floats:
        """Returns the sum over the processes, the same bits in each."""
        import torch
        from torch import distributed

        tensor = torch.from_numpy(values.copy())
        distributed.all_reduce(tensor)
        summed: Floats = tensor.numpy()
        return summed

    def average(self, gradients: "list[torch.Tensor]") -> None:
        """Replaces gradients by their mean, the same bits in each process; one exchange for all."""
        from torch import distributed
        from torch.nn.utils import parameters_to_vector, vector_to_parameters

        vector = parameters_to_vector(gradients)
        distributed.all_reduce(vector)
        vector_to_parameters(vector / self.world_size, gradients)

    def agree(self, signal: int | None) -> int | None:
        """Returns the largest number of a signal that a process has received, or None.

        A launcher that was killed can no longer pass a signal on: its processes stop by themselves.
        """
        import torch
        from torch import distributed

        if os.getppid() != self.launcher:
            signal = SIGTERM
        tensor = torch.tensor(signal or 0)
        distributed.all_reduce(tensor, distributed.ReduceOp.MAX)
        return int(tensor) or None

    def store(self, folder: Path, *, fingerprint: str, job: str) -> Store:
        """Returns checkpoints of which each process writes its shard."""
        return ShardedStore(
            folder, fingerprint=fingerprint, job=job, rank=self.rank, local_rank=self.local_rank
        )

    def whole_weights(self, model: Any) -> dict[str, Any] | None:
        """Gathers the trained weights of a sharded model in the first process's memory."""
        if self.strategy == "ddp":
            return None
        from torch.distributed.checkpoint.state_dict import StateDictOptions, get_model_state_dict

        options = StateDictOptions(
            full_state_dict=True, cpu_offload=True, ignore_frozen_params=True
        )
        return dict(get_model_state_dict(model, options=options))

    def wait(self) -> None:
        """Waits for all other processes."""
        from torch import distributed

        distributed.barrier()
