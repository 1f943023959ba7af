"""The processes of a training: who has which rows, what is summed, and how the model is spread.

`Processes` itself is a training by one process. `Group` is one of several, by torch.distributed:
the loop, its batches and its losses are the same.
"""

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from signal import SIGTERM
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from sashiko.base.files import sha256_file, write_json
from sashiko.base.yaml_models import Frozen, read_record
from sashiko.errors import InputError
from sashiko.evaluation.metrics.arrays import Floats
from sashiko.training.checkpoint import CheckpointStore, Position, say

if TYPE_CHECKING:
    import torch

_MANIFEST = "checkpoint.json"
_KEPT = 2
_Rows = npt.NDArray[np.int64]


class Manifest(Frozen):
    """What makes shards a checkpoint; it is written when all of them are."""

    fingerprint: str
    position: Position
    shards: dict[str, str]  # file name -> hex SHA-256


class ShardedStore:
    """The checkpoints of one training job: `<job>/step-<n>/`, by torch.distributed.checkpoint.

    They can be resumed by another number of processes: tensors are put together from the shards
    that hold parts of them. Each node writes the shards of its processes to its own disk, and
    SageMaker copies them to one prefix of S3, and all of them to each node of the job that
    replaces this one ("Checkpoints in Amazon SageMaker AI", Developer Guide). A checkpoint of
    which a shard is missing, or is not the file that was written, is ignored. As nodes upload
    independently, the last two checkpoints are kept: one of them is complete.
    """

    def __init__(
        self, folder: Path, *, fingerprint: str, job: str, rank: int, local_rank: int
    ) -> None:
        self._root = folder
        self._folder = folder / job
        self._fingerprint = fingerprint
        self._rank = rank
        self._cleans = local_rank == 0  # one process a node

    def save(self, position: Position, model: Any, optimiser: "torch.optim.Optimizer") -> None:
        """Adds a checkpoint; all processes call it.

        Raises:
            InputError: if a process cannot write its shard; the checkpoints before it stay.
        """
        from torch import distributed
        from torch.distributed.checkpoint import state_dict_saver
        from torch.distributed.checkpoint.api import CheckpointException
        from torch.distributed.checkpoint.hf_storage import HuggingFaceStorageWriter

        folder = self._folder / f"step-{position.step:08}"
        if self._cleans and folder.exists():  # of a process that was killed while it wrote
            shutil.rmtree(folder)
        distributed.barrier()
        writer = HuggingFaceStorageWriter(str(folder), save_distributed=True)
        try:
            state_dict_saver.save(_state(model, optimiser), storage_writer=writer)
        except CheckpointException as error:
            raise InputError(f"cannot write a checkpoint to {folder}: {error}") from error
        manifest = Manifest(
            fingerprint=self._fingerprint, position=position, shards=self._all_digests(folder)
        )
        if self._cleans:
            write_json(folder / _MANIFEST, manifest.model_dump(mode="json"))
            for old in sorted(self._folder.glob("step-*"))[:-_KEPT]:
                shutil.rmtree(old)

    def load(self, model: Any, optimiser: "torch.optim.Optimizer") -> Position:
        """Restores model and optimiser from the newest checkpoint that each process can read.

        Returns:
            The position to resume from; step 0 without a matching checkpoint.
        """
        from torch.distributed.checkpoint import state_dict_loader
        from torch.distributed.checkpoint.api import CheckpointException
        from torch.distributed.checkpoint.hf_storage import HuggingFaceStorageReader

        complete = {}
        for manifest, folder in self._all():
            # One process of a node looks for shards: a step that one process lacks, none resumes.
            if self._cleans:
                digests = {path.name: sha256_file(path) for path in folder.glob("*.safetensors")}
                if digests != manifest.shards:
                    say(f"ignoring an incomplete or damaged checkpoint ({folder})")
                    continue
            complete[manifest.position.step] = (manifest, folder)
        step = self._newest_common(set(complete))
        if not step:
            return Position()
        manifest, folder = complete[step]
        reader = HuggingFaceStorageReader(str(folder))
        try:
            state_dict_loader.load(_state(model, optimiser), storage_reader=reader)
        except CheckpointException as error:
            raise InputError(
                f"{folder}: the checkpoint cannot be read: {error}; delete the folder, and "
                "training continues from the one before it"
            ) from error
        if self._rank == 0:
            say(f"resuming after step {step}")
        return manifest.position

    def remove(self) -> None:
        """Removes the checkpoints of this training once it is complete."""
        if self._cleans:
            shutil.rmtree(self._folder, ignore_errors=True)
            for _, folder in self._all():
                shutil.rmtree(folder)
            for job in self._root.glob("*/"):
                if not any(job.iterdir()):
                    job.rmdir()

    @staticmethod
    def _newest_common(own: set[int]) -> int:
        """Returns the newest step whose checkpoint every process has on its node's disk, or 0."""
        import torch
        from torch import distributed

        while True:
            step = torch.tensor(max(own, default=0))
            distributed.all_reduce(step, distributed.ReduceOp.MIN)
            absent = torch.tensor(int(int(step) not in own | {0}))
            distributed.all_reduce(absent, distributed.ReduceOp.MAX)
            if not int(absent):
                return int(step)
            own = {other for other in own if other < int(step)}

    def _all(self) -> Iterator[tuple[Manifest, Path]]:
        """Yields the checkpoints of this training, with all shards or with this node's alone."""
        for file in sorted(self._root.glob(f"*/step-*/{_MANIFEST}")):
            try:
                manifest = read_record(Manifest, file)
            except InputError:
                continue
            if manifest.fingerprint == self._fingerprint:
                yield manifest, file.parent

    def _all_digests(self, folder: Path) -> dict[str, str]:
        """Returns the digests of all processes' shards, also of those on other nodes' disks."""
        import torch
        from torch import distributed

        digests = torch.zeros((distributed.get_world_size(), 32), dtype=torch.uint8)
        # As HuggingFaceStorageWriter calls the file of each process.
        names = [f"shard-{n + 1:05}-model-00001-of-00001.safetensors" for n in range(len(digests))]
        file = folder / names[self._rank]
        if file.is_file():  # a process without a part of any tensor writes none
            digests[self._rank] = torch.tensor([*bytes.fromhex(sha256_file(file))])
        distributed.all_reduce(digests)
        shards = {name: bytes(row.tolist()) for name, row in zip(names, digests, strict=True)}
        return {name: digest.hex() for name, digest in shards.items() if any(digest)}


def _state(model: Any, optimiser: "torch.optim.Optimizer") -> "dict[str, torch.Tensor]":
    """Returns the trained parameters and the optimiser's state, which a load fills in place."""
    import torch
    from torch.distributed.checkpoint.state_dict import StateDictOptions, get_state_dict

    options = StateDictOptions(ignore_frozen_params=True, flatten_optimizer_state_dict=True)
    weights, moments = get_state_dict(model, optimiser, options=options)
    named: dict[str, Any] = {f"model.{name}": value for name, value in weights.items()}
    named |= {f"optimiser.{name}": value for name, value in moments.items()}
    # Not the numbers of the recipe, such as its rate.
    return {name: value for name, value in named.items() if isinstance(value, torch.Tensor)}


def step_seed(seed: int, step: int, rank: int) -> int:
    """Returns the seed of a process's random numbers in a step."""
    return int(np.random.SeedSequence([seed, step, rank]).generate_state(1)[0])


Store = CheckpointStore | ShardedStore


@dataclass(frozen=True)
class Processes:
    """A training by one process."""

    rank: int = 0  # the number of this process
    world_size: int = 1  # how many processes there are
    local_rank: int = 0  # the number of this process on its node

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
        forward: Callable[..., Any] = model.to(device)
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
    """A training by several processes, of which this is one."""

    strategy: Literal["ddp", "fsdp"] = "ddp"  # how the model is spread
    seed: int = 0  # of the random numbers of steps
    launcher: int = field(default_factory=os.getppid)  # the process that started this one

    def place(self, model: Any, device: "torch.device") -> Callable[..., Any]:
        """Spreads the model over the processes."""
        if self.strategy == "ddp":
            from torch.nn.parallel import DistributedDataParallel

            # `static_graph`: a family's classifier may have weights that no logit depends on.
            return DistributedDataParallel(model.to(device), static_graph=True)
        from torch.distributed.device_mesh import init_device_mesh
        from torch.distributed.fsdp import fully_shard

        from sashiko.training.encoder import layers_of

        mesh = init_device_mesh(device.type, (self.world_size,))
        # Layer by layer, so that a device never holds more than its shards and one whole layer.
        for module in (*layers_of(model), model):
            fully_shard(module, mesh=mesh)
        forward: Callable[..., Any] = model
        return forward

    def start_step(self, step: int) -> None:
        """Seeds the random numbers (dropout) of a step, so that no checkpoint has to hold them."""
        import torch

        torch.manual_seed(step_seed(self.seed, step, self.rank))

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
