"""Compile: turns a fine-tuned model into the served artifact and its compile lock.

Runs in the serving image as a plain file:
`python3 /opt/ml/processing/input/code/compile_model.py`.
"""

import errno
import gc
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import adapter
import numpy as np
import torch
from answers import ANSWERS_FILE, read_answered
from backend import Machine, open_backend
from bundle import TOKENIZER_FILE, Bundle, write_bundle
from classifier import CompileError, ScoredModel, load_classifier
from export import MODEL_FILE, Exported, export
from linear import LINEAR_FILE, is_linear, read_features
from number import NUMBER_FILE, read_number
from numpy.typing import NDArray
from pack import files_of, pack, sha256
from prompt import read_prompt
from safetensors.numpy import load_file
from scorer import LinearScorer, Scorer
from tar_reader import ArchiveError, unpack
from text import row_template

LARGEST_DIFFERENCE = 1e-5  # of a probability, merged against apart, in float32
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_PACKAGES = ("numpy", "tokenizers", "torch", "transformers")  # of every target
_SEED = 0
_ROWS = 8  # different rows per bucket; they repeat until each batch is full
_LONGEST_TEXT = 40  # tokens
_FEATURES = 100  # of a linear model, in one row


@dataclass(frozen=True)
class Job:
    """The folders of a processing job."""

    root: Path

    def input(self, name: str) -> Path:
        """Returns the folder of an input."""
        return self.root / "processing" / "input" / name

    def output(self, name: str) -> Path:
        """Returns the folder, made if missing, of an output."""
        folder = self.root / "processing" / "output" / name
        folder.mkdir(parents=True, exist_ok=True)
        return folder


def compile_job(job: Job) -> None:
    """Writes `artifact/model.tar.gz` and `lock/compile-lock.json`.

    Raises:
        CompileError: if the model or the settings are refused, or the compiled model differs too
            much from the eager one.
    """
    settings = _read(job.input("config") / "compile.json")
    target = _read(job.input("code") / "target.json")  # sashiko.pipeline.staging writes it
    with tempfile.TemporaryDirectory(prefix="compile-") as scratch:
        source, artifact = Path(scratch, "source"), Path(scratch, "artifact")
        archive = job.input("model") / "model.tar.gz"
        (artifact / "code").mkdir(parents=True)
        _log("unpacking the model")
        try:
            unpack(archive, source)
        except ArchiveError as error:
            raise CompileError(f"{archive} cannot be unpacked: {error}") from error
        except FileNotFoundError as error:
            raise CompileError(f"{archive} does not exist: run Train again") from error
        compile_source = compile_linear if is_linear(source) else compile_model
        compiled = compile_source(job, source, artifact, settings=settings, target=target)
        bundle, exported, causal = compiled.bundle, compiled.exported, compiled.causal
        write_bundle(bundle, artifact)
        for name in target["handler"]:
            shutil.copyfile(job.input("code") / name, artifact / "code" / name)
        _log(f"comparing {len(bundle.buckets)} shapes with the trained model")
        difference, tolerance = compiled.difference(), settings["tolerance"]
        _log(f"largest difference of a score: {difference:.1e}, allowed: {tolerance:.1e}")
        # With `not`, so that NaN fails.
        if not difference <= tolerance:
            raise CompileError(
                f"the compiled model differs from the trained one by {difference:.3g}, more than "
                f"compile.tolerance={tolerance:g} allows"
            )
        _log("packing the artifact")
        packed = Path(scratch, "model.tar.gz")
        pack(artifact, packed)
        if causal:
            rounded = settings["dtype"] != adapter.FLOAT32
            causal["cast_difference"] = difference if rounded else None
        _write_lock(
            job.output("lock") / "compile-lock.json",
            settings=settings,
            exported=exported,
            # DeviceCheck measures the difference of an accelerator's graphs on the accelerator.
            largest_difference=None if target["accelerated"] else difference,
            weights_sha256=sha256(compiled.weights),
            artifact={name: sha256(artifact / name) for name in files_of(artifact)},
            artifact_sha256=sha256(packed),
            causal=causal,
        )
        # A copy, possibly between file systems: no partial file has the artifact's name.
        part = job.output("artifact") / "model.tar.part"
        shutil.copyfile(packed, part)
        part.replace(part.with_suffix(".gz"))


@dataclass(frozen=True)
class Compiled:
    """A compiled model, of which the artifact's folder has the graphs."""

    bundle: Bundle
    exported: Exported
    weights: Path  # as they are served
    difference: Callable[[], float]  # from the trained model, once the artifact is whole
    causal: "dict[str, Any] | None" = None  # of a causal LM, what the lock says of it


def compile_model(
    job: Job,
    source: Path,
    artifact: Path,
    *,
    settings: Mapping[str, Any],
    target: Mapping[str, Any],
) -> Compiled:
    """Compiles an encoder, or a causal LM with its base model, and copies its tokenizer."""
    text, scratch = _read(job.input("config") / "text.json"), source.parent
    causal: dict[str, Any] | None = None
    if adapter.is_adapter(source):
        _log("merging adapter and base model")
        merged = scratch / "merged"
        try:
            causal = merge_model(source, job.input("base"), merged)
        except adapter.AdapterError as error:
            raise CompileError(str(error)) from error
        source = merged
    model = load_classifier(source)
    dtype, served = settings["dtype"], source
    if causal:
        served = adapter.cast_model(source, scratch / "cast", dtype=dtype)
    _log(f"exporting for {settings['target']} in {dtype}")
    exported = export(model, served, artifact, settings, target)
    number = read_number(source)
    if number is None and model.config.num_labels == 1:
        raise CompileError(f"{source} has no {NUMBER_FILE}: give the output of Train")
    names = model.config.outcomes if number else model.config.id2label
    bundle = Bundle(
        target=settings["target"],
        backend=target["backend"],
        labels=tuple(names[index] for index in range(len(names))),
        template=text["template"],
        missing=text["missing"],
        truncate=text["truncate"],
        pad_id=model.config.pad_token_id or 0,
        buckets=exported.buckets,
        prompt=read_prompt(source),
        number=number,
        fixed_lengths=exported.fixed_lengths,
        runtime=exported.runtime,
    )
    shutil.copyfile(source / TOKENIZER_FILE, artifact / TOKENIZER_FILE)
    return Compiled(
        bundle=bundle,
        exported=exported,
        weights=served / MODEL_FILE,
        difference=partial(largest_difference, model, artifact, bundle),
        causal=causal,
    )


def compile_linear(
    job: Job,
    source: Path,
    artifact: Path,
    *,
    settings: Mapping[str, Any],
    target: Mapping[str, Any],
) -> Compiled:
    """Exports a linear model, and copies what turns a row into its features."""
    from export_linear import export_linear  # onnx is in the image of a target that serves one

    text = _read(job.input("config") / "text.json")
    (features, labels), weights = read_features(source), load_file(source / MODEL_FILE)
    _log(f"exporting {features.size:,} coefficients for {settings['target']}")
    coefficients, intercept = weights["coefficients"], weights["intercept"]
    coefficients = coefficients.reshape(len(intercept), features.size)
    number = read_number(source)
    exported = export_linear(coefficients, intercept, artifact, is_number=number is not None)
    bundle = Bundle(
        target=settings["target"],
        backend=target["backend"],
        labels=labels,
        template=row_template(column.name for column in features.columns),
        missing=text["missing"],
        truncate=False,
        pad_id=0,
        buckets=exported.buckets,
        number=number,
        fixed_lengths=exported.fixed_lengths,
    )
    shutil.copyfile(source / LINEAR_FILE, artifact / LINEAR_FILE)
    return Compiled(
        bundle=bundle,
        exported=exported,
        weights=source / MODEL_FILE,
        difference=partial(linear_difference, coefficients, intercept, artifact, bundle),
    )


def linear_difference(
    coefficients: "NDArray[np.float64]",
    intercept: "NDArray[np.float64]",
    artifact: Path,
    bundle: Bundle,
) -> float:
    """Runs a linear model's graph on seeded values of every feature, some of them at a time.

    Returns:
        The largest absolute difference of a score from the coefficients' own.
    """
    generator = np.random.default_rng(_SEED)
    scorer = LinearScorer(artifact, bundle, open_backend(artifact, bundle, Machine(threads=1)))
    worst = 0.0
    count = coefficients.shape[1]
    for start in range(0, count, _FEATURES):
        numbers = np.arange(start, min(start + _FEATURES, count))
        own = coefficients[:, numbers]
        # So small that no sum comes near a probability of 0 or 1, where differences vanish.
        values = generator.normal(size=len(numbers)) / (1 + np.abs(own).sum(axis=1).max())
        sums = own @ values + intercept
        odds = np.exp(np.append(0.0, sums))
        expected = sums if bundle.number else odds / odds.sum()
        scores = scorer.run(dict(zip(numbers.tolist(), values.tolist(), strict=True)))
        worst = np.maximum(worst, np.abs(scores - expected).max())
    return float(worst)


def merge_model(source: Path, base: Path, folder: Path) -> "dict[str, Any]":
    """Merges an adapter in float32, and checks that the merged model gives the same scores.

    `source` is the adapter's folder, as Train wrote it; `folder` does not exist yet.

    Returns:
        What the lock says of it: files of the base model, adapter and merged weights in float32 by
        their SHA-256, the largest difference of a probability between the merged model and its two
        parts, how often the trained model answers (as Train measured it), and the prompt.

    Raises:
        AdapterError: if the model does not answer, the adapter was trained on another base model,
            does not fit it, or merging moves a probability by more than `LARGEST_DIFFERENCE`.
    """
    prompt = read_prompt(source)
    if prompt is None:
        raise adapter.AdapterError(
            f"{source} has an adapter and no prompt.json: give the output of Train"
        )
    if not (source / ANSWERS_FILE).is_file():
        raise adapter.AdapterError(
            f"{source} has no {ANSWERS_FILE}, which says how often the model answers: an older "
            "engine trained it; run Train again"
        )
    answered = read_answered(source)
    if fault := answered.fault():
        raise adapter.AdapterError(fault)
    adapter.merge(source, base, folder)
    model = load_classifier(folder)
    lengths = np.linspace(1, _LONGEST_TEXT, num=_ROWS).astype(int)
    generator = np.random.default_rng(_SEED)
    rows = [prompt.around(row) for row in _random_rows(model, lengths, generator)]
    difference = adapter.merge_difference(model, source, base, rows)
    del model
    gc.collect()  # Compile loads the model again; two of them need twice the memory
    # With `not`, so that NaN fails.
    if not difference <= LARGEST_DIFFERENCE:
        raise adapter.AdapterError(
            f"merging the adapter moves a probability by {difference:.3g}, more than "
            f"{LARGEST_DIFFERENCE:g}: the merged model would not be the trained one"
        )
    _log(f"merged and apart, a probability differs by {difference:.1e} at most")
    return {
        "base": adapter.base_digests(source),
        "adapter_sha256": sha256(source / adapter.ADAPTER_FILE),
        "merged_sha256": sha256(folder / MODEL_FILE),
        "merge_difference": difference,
        "answered": asdict(answered),
        "answers": list(prompt.answers),
        "chat_template_sha256": prompt.chat_template_sha256,
    }


def largest_difference(model: ScoredModel, artifact: Path, bundle: Bundle) -> float:
    """Runs every bucket on a seeded sample of rows of all lengths that it takes.

    The eager model gets each sample padded to the longest bucket, the graph padded to its own
    bucket, so the result also covers padding. This machine has no accelerator, so in place of an
    accelerator's graphs the trained model in the artifact is run.

    Returns:
        The largest absolute difference of a score over all buckets.
    """
    generator, machine = np.random.default_rng(_SEED), Machine(threads=torch.get_num_threads())
    scorer = Scorer(artifact, bundle, open_backend(artifact, bundle, machine, on_cpu=True))
    worst = 0.0
    for bucket in bundle.buckets:
        # From a row that fills the bucket down to one of two tokens.
        count = min(bucket.batch, _ROWS) if bundle.fixed_lengths else _ROWS
        lengths = np.linspace(bucket.length, 2, num=count).astype(int)
        rows = _random_rows(model, lengths, generator)
        ids = torch.full((count, bundle.max_length), bundle.pad_id, dtype=torch.long)
        mask = torch.zeros_like(ids)
        for index, row in enumerate(rows):
            ids[index, : len(row)] = torch.tensor(row)
            mask[index, : len(row)] = 1
        with torch.inference_mode():
            eager: NDArray[np.float32] = model(ids, mask).numpy()
        for start in range(0, count, bucket.batch):
            positions = (start + np.arange(bucket.batch)) % count
            compiled = scorer.run(bucket, [rows[position] for position in positions])
            worst = np.maximum(worst, np.abs(compiled - eager[positions]).max())
    return float(worst)


def _random_rows(
    model: ScoredModel, lengths: "NDArray[np.int64]", generator: np.random.Generator
) -> "list[list[int]]":
    size = model.config.vocab_size
    return [generator.integers(0, size, size=length).tolist() for length in lengths]


def _write_lock(
    path: Path, *, settings: Mapping[str, Any], exported: Exported, **measured: Any
) -> None:
    # Image, SDK and compiler come from the environment: a job cannot read its own image's name.
    lock = {
        "target": settings["target"],
        "image": os.environ["SERVING_IMAGE"],
        "neuron_sdk": os.environ.get("NEURON_SDK"),
        "compiler": os.environ.get("NEURON_COMPILER"),
        "cores": exported.cores,
        "dtype": exported.dtype,
        "onnx_opset": exported.onnx_opset,
        "python": ".".join(str(part) for part in sys.version_info[:2]),
        "packages": {name: version(name) for name in (*_PACKAGES, *exported.packages)},
        "batch_sizes": sorted({bucket.batch for bucket in exported.buckets}),
        "sequence_lengths": sorted({bucket.length for bucket in exported.buckets} - {0}),
        "tolerance": settings["tolerance"],
        **measured,
    }
    path.write_text(json.dumps(lock, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def _read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def _log(message: str) -> None:
    print(message, file=sys.stderr, flush=True)


def main() -> None:
    """Compiles; bad input and a full disk are reported on stderr and in `output/failure`."""
    job = Job(Path(os.environ.get("OPT_ML", "/opt/ml")))
    try:
        compile_job(job)
        return
    except CompileError as error:
        reason = str(error)
    except OSError as error:
        if error.errno not in _FULL:
            raise
        place = error.filename or "an output"
        reason = f"cannot write {place}: {error.strerror}; free some space and run again"
    failure = job.root / "output" / "failure"
    with suppress(OSError):  # on a full disk the message goes to stderr only
        failure.parent.mkdir(parents=True, exist_ok=True)
        failure.write_text(f"{reason}\n", encoding="utf-8")
    sys.exit(f"error: {reason}")


if __name__ == "__main__":
    main()
