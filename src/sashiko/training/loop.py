"""The training loop: resumable at every step and independent of the clock."""

import math
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from sashiko.base.stopping import Stop
from sashiko.errors import InputError
from sashiko.evaluation.evaluation_record import MetricLine
from sashiko.settings.recipe_train import Hyperparameters
from sashiko.training.checkpoint import Position, say
from sashiko.training.compute import Compute, epoch_batches
from sashiko.training.examples import Examples
from sashiko.training.processes import Processes, Store
from sashiko.training.scoring import Outputs, auc, outputs

if TYPE_CHECKING:
    import torch

_LINE_EVERY_STEPS = 10
_MAX_GRADIENT_NORM = 1.0


def make_optimiser(model: Any, hyperparameters: Hyperparameters) -> "torch.optim.Optimizer":
    """Makes a fused AdamW over the trainable parameters; vectors (biases, norms) don't decay."""
    import torch

    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    decay = hyperparameters.weight_decay
    groups = [
        {"params": [p for p in trained if p.ndim > 1], "weight_decay": decay},
        {"params": [p for p in trained if p.ndim <= 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=hyperparameters.learning_rate, fused=True)


def learning_rate(step: int, *, steps: int, settings: Hyperparameters) -> float:
    """Returns the rate of a step: linear from 0 up to the peak, then linear down to 0."""
    peak, warmup = settings.learning_rate, round(steps * settings.warmup_ratio)
    if step < warmup:
        return peak * (step + 1) / warmup
    return peak * (steps - step) / (steps - warmup)


class Stopped(Exception):  # noqa: N818 - a requested stop is not an error
    """Training stopped on signal `signal` after saving a checkpoint."""

    def __init__(self, number: int) -> None:
        super().__init__(f"stopped by signal {number}")
        self.signal = number


@dataclass
class Loop:
    """One training run, resumed from its checkpoint."""

    model: Any  # what is trained; of several processes, this one's share
    compute: Compute  # computes its logits and gradients
    # The place of each label's logit. A causal LM has one for each token of its vocabulary, so that
    # its answer becomes the most probable token and not only more probable than the other answers.
    # One place alone is of a number, whose loss is the squared error.
    classes: tuple[int, ...]
    first_favourable: int  # labels from this index on are favourable
    train: Examples
    validation: Examples
    pad: int
    hyperparameters: Hyperparameters
    bf16: bool
    store: Store
    stop: Stop
    processes: Processes
    final_in_float32: bool  # the last outputs are computed like the artifact's, and kept as `final`
    final: Outputs | None = field(default=None, init=False)
    _tokens: int = field(default=0, init=False)
    _started: float = field(default=0.0, init=False)

    def run(self) -> tuple[MetricLine, ...]:
        """Trains to the end, from the checkpoint if there is one; returns all metric lines.

        Raises:
            Stopped: at the next step once `stop` says so, after a checkpoint is written.
            InputError: if a checkpoint cannot be written, or the training diverges: a loss or the
                gradients' norm is not finite. The checkpoint before that step stays.
        """
        optimiser = make_optimiser(self.model, self.hyperparameters)
        position = start = self.store.load(self.model, optimiser)
        self.compute.read_weights()
        self._started = time.monotonic()
        for rows in self._batches(start.step):
            position = self._after_epoch(position, optimiser)
            loss = self._step(rows, position.step, optimiser)
            position = self._record_step(position, loss)
            if position.step % self.hyperparameters.checkpoint_every_steps == 0:
                self.store.save(position, self.model, optimiser)
            if position.step % _LINE_EVERY_STEPS == 0:
                self._report(position, since=start.step)
            self._stop_if_requested(position, optimiser)
        return self._after_epoch(position, optimiser).lines

    @property
    def _steps_per_epoch(self) -> int:
        return -(-len(self.train.labels) // self.hyperparameters.batch_size)

    @property
    def _steps(self) -> int:
        return self._steps_per_epoch * self.hyperparameters.epochs

    def _batches(self, done: int) -> Iterator[npt.NDArray[np.int64]]:
        size, seed = self.hyperparameters.batch_size, self.hyperparameters.seed
        first, skip = divmod(done, self._steps_per_epoch)
        for epoch in range(first, self.hyperparameters.epochs):
            batches = epoch_batches(self.train.lengths, batch_size=size, seed=seed, epoch=epoch)
            yield from batches[skip:]
            skip = 0

    def _step(
        self, rows: npt.NDArray[np.int64], step: int, optimiser: "torch.optim.Optimizer"
    ) -> float:
        import torch
        from torch.nn.functional import cross_entropy

        self.compute.model.train()
        self.processes.start_step(step)
        self.compute.start_step(step)
        total = 0.0
        # Every part counts by its share of the batch's weights, so that their gradients add up to
        # the batch's own.
        weight = torch.from_numpy(self.train.weights[rows]).sum().to(self.compute.device)
        classes = torch.tensor(self.classes, device=self.compute.device)
        count = self.hyperparameters.accumulation_steps
        # Rows that go through the model at once, at most.
        largest = -(-self.hyperparameters.batch_size // self.processes.world_size)
        largest = -(-largest // count)
        for part, counts in self.processes.parts(rows, count=count):
            batch = self.compute.batch(self.train, part, pad=self.pad, largest=largest)
            with self._autocast():
                logits = self.compute.forward(**batch.inputs).logits
            if len(self.classes) == 1:
                losses = (logits[:, 0].float() - batch.labels).square()
            else:
                losses = cross_entropy(logits.float(), classes[batch.labels], reduction="none")
            loss = (losses * batch.weights).sum() / weight * counts
            total += self.compute.backward(loss)
            self._tokens += batch.tokens * self.processes.world_size
        self.compute.gather_gradients()
        mean = self.processes.mean(total)
        self._check_finite(mean, "the loss", step=step)
        parameters = [p for group in optimiser.param_groups for p in group["params"]]
        norm = torch.nn.utils.clip_grad_norm_(parameters, _MAX_GRADIENT_NORM)
        if hasattr(norm, "full_tensor"):  # of a sharded model
            norm = norm.full_tensor()
        self._check_finite(float(norm), "the norm of the gradients", step=step)
        for group in optimiser.param_groups:
            group["lr"] = self._learning_rate(step)
        optimiser.step()
        optimiser.zero_grad()
        self.compute.read_weights()
        return mean

    def _check_finite(self, value: float, what: str, *, step: int) -> None:
        # A training that has diverged ends before the optimiser or a checkpoint takes it over.
        if not math.isfinite(value):
            raise InputError(
                f"training diverged: {what} is {value} at step {step + 1} of {self._steps}, with a "
                f"learning rate of {self._learning_rate(step):.3g}: lower train.learning_rate, or "
                "raise train.warmup_ratio or train.batch_size; no model was written, and the last "
                "checkpoint is unchanged"
            )

    def _learning_rate(self, step: int) -> float:
        return learning_rate(step, steps=self._steps, settings=self.hyperparameters)

    def _record_step(self, position: Position, loss: float) -> Position:
        """Adds a step; every tenth one, except an epoch's last, adds a metric line."""
        step = position.step + 1
        position = Position(step=step, losses=(*position.losses, loss), lines=position.lines)
        if step % _LINE_EVERY_STEPS or step % self._steps_per_epoch == 0:
            return position
        return self._with_line(position)

    def _with_line(self, position: Position, **scores: float | None) -> Position:
        line = MetricLine(
            step=position.step,
            epoch=-(-position.step // self._steps_per_epoch),
            train_loss=float(np.mean(position.losses)),
            learning_rate=self._learning_rate(position.step - 1),
            **scores,
        )
        return Position(step=position.step, lines=(*position.lines, line))

    def _after_epoch(self, position: Position, optimiser: "torch.optim.Optimizer") -> Position:
        """Scores the validation split if an epoch has just ended and is not scored yet."""
        ended = position.step and position.step % self._steps_per_epoch == 0
        if not ended or (position.lines and position.lines[-1].step == position.step):
            return position
        # Float32 takes three times as long on a CPU with bfloat16. A replica on an XLA device would
        # be compiled once more.
        exact = (
            self.final_in_float32
            and position.step == self._steps
            and self.compute.model is self.model
        )
        validation = outputs(
            self.compute,
            self.validation,
            classes=self.classes,
            pad=self.pad,
            autocast=nullcontext if exact else self._autocast,
            after_batch=lambda: self._stop_if_requested(position, optimiser),
            processes=self.processes,
        )
        self.final = validation if exact else None
        loss = float(validation.losses.mean())
        self._check_finite(loss, "the validation loss", step=position.step - 1)
        labels, first = self.validation.labels, self.first_favourable
        validation_auc = auc(labels, validation.logits, first_favourable=first)
        said = "" if validation_auc is None else f", AUC {validation_auc:.3f}"
        answers = (
            self.hyperparameters.prompt is not None
        )  # of a causal LM, whose classes are tokens
        updated = self._with_line(
            position,
            validation_loss=loss,
            validation_auc=validation_auc,
            validation_missed=int(validation.missed.sum()) if answers else None,
        )
        line = updated.lines[-1]
        self._say(
            f"epoch {line.epoch}/{self.hyperparameters.epochs} done, loss {line.train_loss:.3f}, "
            f"validation loss {loss:.3f}{said}"
        )
        return updated

    def _autocast(self) -> AbstractContextManager[None]:
        import torch

        return torch.autocast(self.compute.device.type, dtype=torch.bfloat16, enabled=self.bf16)

    def _stop_if_requested(self, position: Position, optimiser: "torch.optim.Optimizer") -> None:
        signal = self.processes.agree(self.stop.signal)
        if signal is not None:
            self.store.save(position, self.model, optimiser)
            step = f"{position.step}/{self._steps}"
            self._say(f"stopped after step {step}; the next run continues from there")
            raise Stopped(signal)

    def _report(self, position: Position, *, since: int) -> None:
        seconds = time.monotonic() - self._started
        remaining = seconds / (position.step - since) * (self._steps - position.step)
        loss = position.losses[-1] if position.losses else position.lines[-1].train_loss
        self._say(
            f"epoch {-(-position.step // self._steps_per_epoch)}/{self.hyperparameters.epochs} "
            f"step {position.step}/{self._steps} loss {loss:.3f} "
            f"{self._tokens / seconds:,.0f} tok/s, {remaining:.0f} s left"
        )

    def _say(self, message: str) -> None:
        if self.processes.is_first:
            say(message)
