"""Checkpoints: atomic safetensors files that resume a training bit for bit."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from sashiko.base.files import sweep_half_written, write_bytes
from sashiko.base.yaml_models import Frozen
from sashiko.evaluation.evaluation_record import MetricLine

if TYPE_CHECKING:
    import torch

_SUFFIX = ".safetensors"


class Position(Frozen):
    """The progress of a training. Learning rate and batches depend only on the step."""

    step: int = 0
    losses: tuple[float, ...] = ()  # the steps' losses since the last metric line
    lines: tuple[MetricLine, ...] = ()


class CheckpointStore:
    """The checkpoint of one training job, stored beside those of other jobs.

    SageMaker copies checkpoints from S3 to a job's folder at the start and mirrors later changes,
    including deletions, to S3 ("Checkpoints in Amazon SageMaker AI", Developer Guide). Each job
    therefore writes its own file: concurrent jobs do not overwrite each other's, and a replacement
    job resumes from the most advanced one.

    A checkpoint holds the trainable parameters, the optimiser's state, torch's random state and the
    position; the position and the fingerprint are JSON in the file's header. Only one of the same
    fingerprint is resumed.
    """

    def __init__(self, folder: Path, *, fingerprint: str, job: str = "checkpoint") -> None:
        self._path = folder / f"{job}{_SUFFIX}"
        self._earlier: tuple[Path, ...] = ()
        self._fingerprint = fingerprint

    def save(self, position: Position, model: Any, optimiser: "torch.optim.Optimizer") -> None:
        """Replaces the checkpoint.

        Raises:
            InputError: if it cannot be written, for example on a full disk; the old one stays.
        """
        import torch
        from safetensors.torch import save

        header = {"fingerprint": self._fingerprint, "position": position.model_dump_json()}
        tensors = {"random.cpu": torch.get_rng_state()}
        if torch.cuda.is_available():
            tensors["random.cuda"] = torch.cuda.get_rng_state()
        for name, parameter in _trainable(model):
            tensors[f"model.{name}"] = parameter.detach().contiguous()
            for field, value in optimiser.state[parameter].items():
                tensors[f"optimiser.{name}.{field}"] = value
        write_bytes(self._path, save(tensors, metadata=header))

    def load(self, model: Any, optimiser: "torch.optim.Optimizer") -> Position:
        """Restores model, optimiser and random state from the most advanced matching checkpoint.

        Returns:
            The position to resume from; step 0 without a matching checkpoint. Checkpoints of other
            data or settings and damaged ones are ignored with a message.
        """
        import torch
        from safetensors import SafetensorError, safe_open

        folder = self._path.parent
        sweep_half_written(folder)
        positions = {path: self._position(path) for path in sorted(folder.glob(f"*{_SUFFIX}"))}
        resumable = {path: position for path, position in positions.items() if position}
        self._earlier = tuple(resumable)
        for path in sorted(resumable, key=lambda path: resumable[path].step, reverse=True):
            try:
                with safe_open(path, framework="pt") as file:
                    names = file.keys()
                    tensors = {name: file.get_tensor(name) for name in names}
            except (SafetensorError, OSError) as error:
                say(f"ignoring a damaged checkpoint ({error})")
                continue
            for name, parameter in _trainable(model):
                parameter.data.copy_(tensors[f"model.{name}"])
                prefix = f"optimiser.{name}."
                optimiser.state[parameter] = {
                    key.removeprefix(prefix): value.to(parameter.device)
                    for key, value in tensors.items()
                    if key.startswith(prefix)
                }
            torch.set_rng_state(tensors["random.cpu"])
            if "random.cuda" in tensors:
                torch.cuda.set_rng_state(tensors["random.cuda"])
            say(f"resuming after step {resumable[path].step}")
            return resumable[path]
        return Position()

    def remove(self) -> None:
        """Removes the checkpoints of this training once it is complete.

        A concurrent job of the same training writes its own again at its next checkpoint.
        """
        for path in (self._path, *self._earlier):
            path.unlink(missing_ok=True)

    def _position(self, path: Path) -> Position | None:
        """Reads a checkpoint's position; None if it does not match, or is damaged."""
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(path, framework="pt") as file:
                header = file.metadata() or {}
            if header.get("fingerprint") != self._fingerprint:
                say("ignoring a checkpoint of other data, settings or code")
                return None
            return Position.model_validate_json(header.get("position", ""))
        except (SafetensorError, OSError, ValidationError) as error:
            say(f"ignoring a damaged checkpoint ({error})")
            return None


def _trainable(model: Any) -> "list[tuple[str, torch.nn.Parameter]]":
    return [(name, value) for name, value in model.named_parameters() if value.requires_grad]


def say(message: str) -> None:
    """Prints progress."""
    print(message, file=sys.stderr, flush=True)
