"""Train: fine-tunes the recipe's model on the prepared text; reads no facets.

    python -m sashiko.steps.train

A SageMaker training job: channels `train`, `validation`, `weights`, `model` and `meta`;
hyperparameters as strings; the model goes to `/opt/ml/model`; `metrics.jsonl`, `snapshots.json`
(the digests of its data), `split.json` (Prepare's summary) and, if the recipe requests it, the
fitted `temperature.json` go to `/opt/ml/output/data`. A label that is a number has a `number.json`
beside the model and there: its scale and its interval. Of a causal LM the model is a LoRA adapter,
which Compile merges into the base model; a linear model has no channel `model`. After a kill it
resumes from `/opt/ml/checkpoints` and produces the same bytes; checkpoints are removed once the
training is complete. With `distributed` it starts the processes that train, and only the first of
them writes.
"""

import argparse
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from sashiko.base import files, job_folders
from sashiko.base.stopping import stop_on_signals
from sashiko.base.yaml_models import validate
from sashiko.contract.manifest import Snapshots, read_snapshots, write_snapshots
from sashiko.data.splits import META_FILE, SplitMeta, read_split_meta
from sashiko.evaluation.evaluation_record import MetricLine, TemperatureFit
from sashiko.serving.container.answers import ANSWERS_FILE, Answered
from sashiko.serving.container.number import NUMBER_FILE, Number
from sashiko.settings.recipe_train import Hyperparameters
from sashiko.steps.entry import run_step
from sashiko.training import __file__ as training_package
from sashiko.training.causal import keep_answers
from sashiko.training.checkpoint import say
from sashiko.training.compute import Compute
from sashiko.training.encoder import publish
from sashiko.training.examples import read_labels, read_split, read_weights, tokenise
from sashiko.training.linear_model import fit_coefficients, fit_features, fit_ridge, matrix
from sashiko.training.loop import Loop, Stopped
from sashiko.training.machine import best_device, repeatable, uses_bf16
from sashiko.training.processes import Group, Processes
from sashiko.training.scoring import (
    TEMPERATURE_FILE,
    auc,
    fit_number,
    fit_to_validation,
    losses,
    outputs,
    scale_to_validation,
)
from sashiko.training.trainee import load_trainee
from sashiko.training.xla import replicate, uses_xla, xla_device

if TYPE_CHECKING:
    import torch


def main() -> None:
    """Trains in this process, or starts the processes that train."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("command", nargs="?", choices=["train"], help="as SageMaker starts images")
    parser.parse_args()
    settings = validate(
        Hyperparameters,
        files.read_json(job_folders.hyperparameters_file()),
        source=str(job_folders.hyperparameters_file()),
    )
    if settings.family == "linear":
        train_linear(settings)
        return
    if settings.distributed.strategy == "none":
        train(settings, Processes())
        return
    from sashiko.training.launcher import is_worker, launch, read_hosts

    if is_worker():
        with joined_group(settings) as group:
            train(settings, group)
        return
    hosts = read_hosts(job_folders.hosts_file(), nodes=settings.distributed.nodes)
    launch(settings.distributed, hosts=hosts, module="sashiko.steps.train")


@contextmanager
def joined_group(settings: Hyperparameters) -> Iterator[Group]:
    """Joins the processes that the launcher has started, and leaves them at the end.

    Small numbers travel by gloo, gradients and weights of GPUs by NCCL.
    """
    import torch
    from torch import distributed

    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
    distributed.init_process_group(backend)
    strategy = settings.distributed.strategy
    try:
        yield Group(
            rank=distributed.get_rank(),
            world_size=distributed.get_world_size(),
            local_rank=int(os.environ["LOCAL_RANK"]),
            strategy="fsdp" if strategy == "fsdp" else "ddp",
            seed=settings.seed,
        )
    finally:
        distributed.destroy_process_group()


def train(settings: Hyperparameters, processes: Processes) -> None:
    """Reads the channels, trains, and writes the model and its metrics."""
    meta, train_rows, validation_rows, weights = read_channels()
    snapshots = used_snapshots()

    repeatable(seed=settings.seed)
    local_rank = processes.local_rank
    device = xla_device(local_rank=local_rank) if uses_xla() else best_device(local_rank=local_rank)
    bf16 = uses_bf16(settings.precision, device)
    load = partial(
        load_trainee,
        job_folders.training_channel("model"),
        settings,
        meta=meta,
        device=device,
    )
    trainee = load()
    tokenise_rows = partial(
        tokenise,
        tokenize=trainee.tokenize,
        max_length=settings.max_length,
        number=meta.number,
    )
    examples = tokenise_rows(train_rows, source="train", weights=weights)
    validation = tokenise_rows(validation_rows, source="validation")
    model = trainee.model
    compute = place(model, device, processes, settings)
    if processes.is_first:
        say(f"{len(train_rows):,} rows on {device}, {'bf16' if bf16 else 'fp32'}")

    store = processes.store(
        job_folders.checkpoint_dir(),
        fingerprint=fingerprint(settings, device=str(device), bf16=bf16),
        # "How Amazon SageMaker AI Provides Training Information", Developer Guide.
        job=os.environ.get("TRAINING_JOB_NAME", "checkpoint"),
    )
    fitted = meta.number is not None or settings.calibration == "temperature"
    with stop_on_signals() as stop:
        loop = Loop(
            model=model,
            compute=compute,
            classes=trainee.classes,
            first_favourable=meta.first_favourable,
            train=examples,
            validation=validation,
            pad=trainee.pad,
            hyperparameters=settings,
            bf16=bf16,
            store=store,
            stop=stop,
            processes=processes,
            final_in_float32=fitted,
        )
        try:
            lines = loop.run()
        except Stopped as stopped:
            sys.exit(128 + stopped.signal)

    validation_logits = None
    if fitted:
        final = loop.final
        if final is None:
            itself = Compute(model, model)
            final = outputs(
                itself, validation, classes=trainee.classes, pad=trainee.pad, processes=processes
            )
        validation_logits = final.logits
    sharded = processes.whole_weights(model)
    if processes.is_first:
        trained = trainee if sharded is None else load()
        if sharded is not None:
            trained.model.load_state_dict(sharded, strict=False)
        if settings.prompt is not None:
            keep_answers(trained.model, trained.classes)
        labels = read_labels(validation_rows, meta.number)
        if validation_logits is not None and not meta.number:
            say_temperature(scale_to_validation(trained.model, labels, validation_logits))
        trained.save(job_folders.model_dir())
        if validation_logits is not None and meta.number:
            save_number(fit_number(meta.number, labels, validation_logits[:, 0]))
        if (missed := lines[-1].validation_missed) is not None:
            answered = Answered(rows=len(validation.labels), missed=missed)
            files.write_json(job_folders.model_dir() / ANSWERS_FILE, asdict(answered))
        write_output(lines, snapshots, meta)
    processes.wait()
    store.remove()


def train_linear(settings: Hyperparameters) -> None:
    """Reads the channels, fits a linear model, and writes it and its metrics.

    It takes seconds, so there is no checkpoint, and one line of metrics.
    """
    meta, train_rows, validation_rows, weights = read_channels()
    snapshots = used_snapshots()
    say(f"{len(train_rows):,} rows, {len(meta.kinds)} columns")
    features = fit_features(train_rows["text"].to_pylist(), meta.kinds)
    of_train, of_validation = (
        matrix(features, rows["text"].to_pylist()) for rows in (train_rows, validation_rows)
    )
    labels, validation_labels = (
        read_labels(rows, meta.number) for rows in (train_rows, validation_rows)
    )
    row_weights, interval = weights.astype(np.float64), None
    if meta.number:
        model = fit_ridge(features, of_train, labels, weights=row_weights)
        interval = fit_number(meta.number, validation_labels, model.logits(of_validation)[:, 0])
    else:
        model = fit_coefficients(
            features, of_train, labels, weights=row_weights, seed=settings.seed
        )
    if settings.calibration == "temperature":
        fit = fit_to_validation(validation_labels, model.logits(of_validation))
        model = model.divided(fit.temperature)
        say_temperature(fit)
    train_losses = losses(labels, model.logits(of_train))
    logits = model.logits(of_validation)
    line = MetricLine(
        step=1,
        epoch=1,
        train_loss=float(np.average(train_losses, weights=weights)),
        learning_rate=0.0,  # neither solver has one
        validation_loss=float(losses(validation_labels, logits).mean()),
        validation_auc=auc(validation_labels, logits, first_favourable=meta.first_favourable),
    )
    with publish(job_folders.model_dir()) as folder:
        model.save(folder, labels=meta.labels)
    if interval:
        save_number(interval)
    write_output([line], snapshots, meta)


def read_channels() -> tuple[SplitMeta, pa.Table, pa.Table, npt.NDArray[np.float32]]:
    """Reads Prepare's summary, the rows of train and validation, and the weights of train.

    Raises:
        InputError: if a file is missing or damaged.
    """
    meta = read_split_meta(job_folders.training_channel("meta"))
    train_rows, validation_rows = (
        read_split(job_folders.training_channel(name), is_number=meta.number is not None)
        for name in ("train", "validation")
    )
    weights = read_weights(job_folders.training_channel("weights"), train_rows["key"])
    return meta, train_rows, validation_rows, weights


def save_number(number: Number) -> None:
    """Writes scale and interval of a number beside the model and into the output, and says them."""
    for folder in (job_folders.model_dir(), job_folders.output_data_dir()):
        files.write_json(folder / NUMBER_FILE, asdict(number))
    say(f"interval of {number.coverage:.0%}: the value +- {number.half_width:.4g}")


def say_temperature(fit: TemperatureFit) -> None:
    """Writes the fitted temperature, and says it."""
    files.write_json(job_folders.output_data_dir() / TEMPERATURE_FILE, fit.model_dump(mode="json"))
    say(f"temperature {fit.temperature:.3f}{fit.kept and ', as ' + fit.kept}")


def write_output(lines: Sequence[MetricLine], snapshots: Snapshots, meta: SplitMeta) -> None:
    """Writes metrics, digests of the data and Prepare's summary beside the model."""
    folder = job_folders.output_data_dir()
    content = "".join(f"{line.model_dump_json()}\n" for line in lines)
    files.write_bytes(folder / "metrics.jsonl", content.encode())
    write_snapshots(snapshots, folder)
    files.write_json(folder / META_FILE, meta.model_dump(mode="json"))


def place(
    model: Any, device: "torch.device", processes: Processes, settings: Hyperparameters
) -> Compute:
    """Puts a model on its device: as a copy on an XLA device, spread over the processes else."""
    if uses_xla():
        return replicate(model, device, processes, length=settings.max_length, seed=settings.seed)
    return Compute(model, processes.place(model, device))


def used_snapshots() -> Snapshots:
    """Reads the digests of the channels' data; the facets' digest only if there are weights.

    Raises:
        InputError: if a channel has no digest.
    """
    weights = job_folders.training_channel("weights")
    return Snapshots(
        training=read_snapshots(job_folders.training_channel("meta")).training,
        facets=read_snapshots(weights).facets if weights.exists() else None,
    )


def fingerprint(settings: Hyperparameters, *, device: str, bf16: bool) -> str:
    """Returns a digest of settings, channels, code, libraries and machine.

    A checkpoint with another fingerprint is not resumed. Excluded are the checkpoint interval and
    the number of processes with their threads: a checkpoint of several is resumed by more of them
    or by fewer.
    """
    import torch
    import transformers

    code = Path(training_package).parent
    threads = [torch.get_num_threads()] if settings.distributed.strategy == "none" else []
    parts = {
        "settings": settings.model_dump(
            mode="json", exclude={"checkpoint_every_steps", "distributed"}
        ),
        "channels": {
            name: files.sha256_tree(job_folders.training_channel(name))
            if job_folders.training_channel(name).exists()
            else None
            for name in ("train", "validation", "weights", "model", "meta")
        },
        "code": {path.name: files.sha256_file(path) for path in sorted(code.glob("*.py"))},
        "libraries": [torch.__version__, transformers.__version__],
        "machine": [device, bf16, *threads],
    }
    return files.sha256_bytes(files.canonical_json(parts))


if __name__ == "__main__":
    run_step(main)
