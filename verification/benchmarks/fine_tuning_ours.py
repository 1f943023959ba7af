"""The Train step's own training of a job of `verification.benchmarks.fine_tuning`.

python -m verification.benchmarks.fine_tuning_ours JOB
"""

import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

from sashiko.base.stopping import Stop
from sashiko.data.splits import read_split_meta
from sashiko.settings.recipe_train import Hyperparameters
from sashiko.training.checkpoint import CheckpointStore, Position
from sashiko.training.compute import Compute
from sashiko.training.examples import read_split, tokenise
from sashiko.training.loop import Loop
from sashiko.training.machine import best_device, repeatable, uses_bf16
from sashiko.training.processes import Processes
from sashiko.training.scoring import outputs
from sashiko.training.trainee import load_trainee
from verification.benchmarks.fine_tuning_job import Job, Watch


def main() -> None:
    """Trains as the step does, from reading the tokenizer on."""
    job = Job.read(sys.argv[1])
    settings = Hyperparameters.model_validate(job.hyperparameters)
    rows = {name: read_split(Path(job.data, name)) for name in ("train", "validation")}
    meta = read_split_meta(Path(job.data, "meta"))
    repeatable(seed=settings.seed)
    import transformers

    # Its imports are made on first use.
    _ = transformers.AutoTokenizer, transformers.AutoModelForSequenceClassification
    watch, device, processes = Watch(), best_device(), Processes()
    trainee = load_trainee(Path(job.model), settings, labels=meta.labels, device=device)
    tokenised = partial(tokenise, tokenize=trainee.tokenize, max_length=settings.max_length)
    train, validation = (tokenised(table, source=name) for name, table in rows.items())
    margins = partial(outputs, examples=validation, classes=trainee.classes, pad=trainee.pad)

    class WatchedStore(CheckpointStore):
        """Checkpoints as often as the recipe says, evaluates as often as the benchmark does."""

        def save(self, position: Position, model: Any, optimiser: Any) -> None:
            if position.step % settings.checkpoint_every_steps == 0:
                super().save(position, model, optimiser)
            self.evaluate(position.step * settings.batch_size, model)

        def evaluate(self, rows: int, model: Any) -> None:
            watch.evaluate(rows, lambda: margins(Compute(model, model)).margins)

    with tempfile.TemporaryDirectory() as folder:
        store = WatchedStore(Path(folder), fingerprint="benchmark")
        every = max(1, job.every_rows // settings.batch_size)
        Loop(
            model=trainee.model,
            compute=Compute(trainee.model, processes.place(trainee.model, device)),
            classes=trainee.classes,
            train=train,
            validation=validation,
            pad=trainee.pad,
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
