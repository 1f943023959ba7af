"""Hugging Face's Trainer on a job of `fine_tuning`; imports nothing of the project.

.venv-trainer/bin/python -m verification.benchmarks.fine_tuning_trainer JOB
"""

import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import torch
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    DataCollatorWithPadding,
    Trainer,
    TrainerCallback,
    TrainingArguments,
    set_seed,
)

from verification.benchmarks.fine_tuning_job import Job, Margins, Watch

_DROPOUTS = ("hidden_dropout_prob", "attention_probs_dropout_prob")
_SCORED_AT_ONCE = 64


class Evaluating(TrainerCallback):
    """Has the watch evaluate every so many rows, and at the end of each epoch."""

    def __init__(self, watch: Watch, *, every: int, validation: Any, collate: Any) -> None:
        self._watch = watch
        self._every = every
        self._validation = validation
        self._collate = collate

    def on_step_end(self, args: Any, state: Any, control: Any, **parts: Any) -> None:  # noqa: ARG002 - Trainer's names
        """Is called by Trainer after each optimiser step."""
        rows = state.global_step * args.per_device_train_batch_size
        if rows % self._every < args.per_device_train_batch_size:
            self._watch.evaluate(rows, lambda: self._margins(parts["model"]))

    def on_epoch_end(self, args: Any, state: Any, control: Any, **parts: Any) -> None:  # noqa: ARG002 - Trainer's names
        """Is called by Trainer after each epoch."""
        rows = state.global_step * args.per_device_train_batch_size
        self._watch.evaluate(rows, lambda: self._margins(parts["model"]))

    def _margins(self, model: Any) -> Margins:
        margins = np.empty(len(self._validation))
        order = np.argsort([len(row["input_ids"]) for row in self._validation], kind="stable")
        model.eval()
        for start in range(0, len(order), _SCORED_AT_ONCE):
            rows = order[start : start + _SCORED_AT_ONCE]
            batch = self._collate([self._validation[row] for row in rows]).to(model.device)
            batch.pop("labels")
            with torch.inference_mode():
                logits = model(**batch).logits.double().cpu().numpy()
            margins[rows] = logits[:, 1] - logits[:, 0]
        model.train()
        return margins


def main() -> None:
    """Trains as Trainer's own examples do, from reading the tokenizer on."""
    job = Job.read(sys.argv[1])
    tables = {name: pq.read_table(Path(job.data, name, "data.parquet"))
              for name in ("train", "validation")}  # fmt: skip
    watch = Watch()
    set_seed(job.hyperparameters["seed"])
    tokenizer = AutoTokenizer.from_pretrained(job.model, local_files_only=True)
    rows = {name: _tokenised(table, tokenizer, job) for name, table in tables.items()}
    collate = DataCollatorWithPadding(tokenizer)
    dropout = {} if job.dropout is None else dict.fromkeys(_DROPOUTS, job.dropout)
    model = AutoModelForSequenceClassification.from_pretrained(
        job.model, local_files_only=True, num_labels=2, **dropout
    )
    if job.frozen is not None:
        for module in (model.base_model.embeddings, *model.base_model.encoder.layer[: job.frozen]):
            module.requires_grad_(False)
    with tempfile.TemporaryDirectory() as folder:
        trainer = Trainer(
            model=model,
            args=TrainingArguments(
                output_dir=folder,
                seed=job.hyperparameters["seed"],
                disable_tqdm=True,
                use_cpu=not torch.cuda.is_available(),  # bf16 needs it stated
                **job.arguments,
            ),
            train_dataset=rows["train"],
            data_collator=collate,
            callbacks=[
                Evaluating(
                    watch, every=job.every_rows, validation=rows["validation"], collate=collate
                )
            ],
        )
        trainer.train()
    watch.write(job.output)


def _tokenised(table: Any, tokenizer: Any, job: Job) -> list[dict[str, Any]]:
    texts, labels = table["text"].to_pylist(), table["label"].to_pylist()
    encoded = tokenizer(texts, truncation=True, max_length=job.hyperparameters["max_length"])
    columns = zip(*encoded.values(), labels, strict=True)
    return [dict(zip((*encoded.keys(), "labels"), row, strict=True)) for row in columns]


if __name__ == "__main__":
    main()
