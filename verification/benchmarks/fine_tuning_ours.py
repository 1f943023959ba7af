"""The Train step's own training of a job of `verification.benchmarks.fine_tuning`.

python -m verification.benchmarks.fine_tuning_ours JOB
"""

import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

from sashiko.core.stopping import Stop
from sashiko.data.splits import read_split_meta
from sashiko.settings.train import Hyperparameters
from sashiko.training.checkpoint import CheckpointStore, Position
from sashiko.training.compute import Compute
from sashiko.training.examples import Examples, read_split, tokenise
from sashiko.training.loop import Loop
from sashiko.training.machine import best_device, repeatable, uses_bf16
from sashiko.training.processes import Processes
from sashiko.training.scoring import outputs
from sashiko.training.trainee import load_trainee
from verification.benchmarks.fine_tuning_job import Job, Watch


class WatchedStore(CheckpointStore):
    """Checkpoints as often as the recipe says, and evaluations as often as the benchmark does."""

    def __init__(self, folder: Path, *, watch: Watch, settings: Hyperparameters) -> None:
        super().__init__(folder, fingerprint="benchmark")
        self.watch = watch
        self._settings = settings
        self.validation: Examples
        self.pad: int
        self.classes: tuple[int, int]

    def save(self, position: Position, model: Any, optimiser: Any) -> None:
        """Saves where the recipe asks for it, then evaluates."""
        if position.step % self._settings.checkpoint_every_steps == 0:
            super().save(position, model, optimiser)
        self.evaluate(position.step * self._settings.batch_size, model)

    def evaluate(self, rows: int, model: Any) -> None:
        """Evaluates with the watch stopped."""
        compute = Compute(model, model)
        self.watch.evaluate(
            rows,
            lambda: outputs(compute, self.validation, classes=self.classes, pad=self.pad).margins,
        )


def main() -> None:
    """Trains as the step does, from reading the tokenizer on."""
    job = Job.read(sys.argv[1])
    settings = Hyperparameters.model_validate(job.hyperparameters)
    rows = read_split(Path(job.data, "train"))
    validation_rows = read_split(Path(job.data, "validation"))
    meta = read_split_meta(Path(job.data, "meta"))
    repeatable(seed=settings.seed)
    import transformers

    # Its imports are made on first use.
    _ = transformers.AutoTokenizer, transformers.AutoModelForSequenceClassification

    with tempfile.TemporaryDirectory() as folder:
        watch = Watch()
        store = WatchedStore(Path(folder), watch=watch, settings=settings)
        device = best_device()
        trainee = load_trainee(Path(job.model), settings, labels=meta.labels, device=device)
        tokenised = partial(tokenise, tokenize=trainee.tokenize, max_length=settings.max_length)
        store.pad, store.classes = trainee.pad, trainee.classes
        store.validation = tokenised(validation_rows, source="validation")
        every = max(1, job.every_rows // settings.batch_size)
        train = tokenised(rows, source="train")
        processes = Processes()
        Loop(
            model=trainee.model,
            compute=Compute(trainee.model, processes.place(trainee.model, device)),
            classes=trainee.classes,
            train=train,
            validation=store.validation,
            pad=store.pad,
            hyperparameters=settings.model_copy(update={"checkpoint_every_steps": every}),
            bf16=uses_bf16(settings.precision, device),
            store=store,
            stop=Stop(),
            processes=processes,
        ).run()
        store.evaluate(len(train.labels) * settings.epochs, trainee.model)
    watch.write(job.output)


if __name__ == "__main__":
    main()
