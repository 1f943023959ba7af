"""Checkpoints: one safetensors file that appears whole or not at all, and resumes bit for bit."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from sashiko.files import remove_half_written, write_bytes
from sashiko.yaml_models import Frozen

if TYPE_CHECKING:
    import torch

_FILE = "checkpoint.safetensors"


class MetricLine(Frozen):
    """One line of `metrics.jsonl`; without times, so that equal runs give equal files.

    Attributes:
        step: optimiser steps so far.
        epoch: the epoch of that step, from 1.
        train_loss: mean weighted loss of the steps since the line before.
        learning_rate: of that step.
        validation_loss: mean unweighted loss on the validation split; at the end of an epoch only.
        validation_auc: area under its ROC curve, likewise.
    """

    step: int
    epoch: int
    train_loss: float
    learning_rate: float
    validation_loss: float | None = None
    validation_auc: float | None = None


class Position(Frozen):
    """Where a training is. The learning rate and the batches follow from the step alone.

    Attributes:
        step: optimiser steps done.
        losses: the steps' losses since the last metric line.
        lines: the metric lines so far.
    """

    step: int = 0
    losses: tuple[float, ...] = ()
    lines: tuple[MetricLine, ...] = ()


class CheckpointStore:
    """The newest checkpoint of one training.

    It holds the trainable parameters, the optimiser's state, torch's random state and the
    position; the position and the fingerprint are JSON in the file's header.
    """

    def __init__(self, folder: Path, *, fingerprint: str) -> None:
        """Names the file.

        Args:
            folder: SageMaker's checkpoint folder.
            fingerprint: digest of all that the training depends on; a checkpoint with another
                one is not resumed.
        """
        self._path = folder / _FILE
        self._fingerprint = fingerprint

    def save(self, position: Position, model: Any, optimiser: "torch.optim.Optimizer") -> None:
        """Replaces the checkpoint.

        Raises:
            InputError: if it cannot be written, for example on a full disk; the old one stays.
        """
        from safetensors.torch import save

        header = {"fingerprint": self._fingerprint, "position": position.model_dump_json()}
        write_bytes(self._path, save(_tensors(model, optimiser), metadata=header))

    def load(self, model: Any, optimiser: "torch.optim.Optimizer") -> Position:
        """Puts model, optimiser and random state back to the checkpoint, if there is one for us.

        Returns:
            The position to go on from: step 0 if there is no checkpoint, or one that belongs to
            other data or settings or is damaged, which is ignored with a message.
        """
        from safetensors import SafetensorError, safe_open

        remove_half_written(self._path.parent)
        if not self._path.is_file():
            return Position()
        try:
            with safe_open(self._path, framework="pt") as file:
                header = file.metadata() or {}
                if header.get("fingerprint") != self._fingerprint:
                    _say("ignoring a checkpoint of other data, settings or code")
                    return Position()
                position = Position.model_validate_json(header.get("position", ""))
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
        except (SafetensorError, OSError, ValidationError) as error:
            _say(f"ignoring a damaged checkpoint ({error})")
            return Position()
        _restore(tensors, model, optimiser)
        _say(f"resuming after step {position.step}")
        return position

    def remove(self) -> None:
        """Removes the checkpoint once the training is complete."""
        self._path.unlink(missing_ok=True)


def _tensors(model: Any, optimiser: "torch.optim.Optimizer") -> "dict[str, torch.Tensor]":
    import torch

    tensors = {"random.cpu": torch.get_rng_state()}
    if torch.cuda.is_available():
        tensors["random.cuda"] = torch.cuda.get_rng_state()
    for name, parameter in _trainable(model):
        tensors[f"model.{name}"] = parameter.detach().contiguous()
        for field, value in optimiser.state[parameter].items():
            tensors[f"optimiser.{name}.{field}"] = value
    return tensors


def _restore(
    tensors: "dict[str, torch.Tensor]", model: Any, optimiser: "torch.optim.Optimizer"
) -> None:
    import torch

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


def _trainable(model: Any) -> "list[tuple[str, torch.nn.Parameter]]":
    return [(name, value) for name, value in model.named_parameters() if value.requires_grad]


def _say(message: str) -> None:
    print(message, file=sys.stderr, flush=True)
