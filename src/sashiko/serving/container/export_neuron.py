"""A fine-tuned classifier to Neuron graphs: one for each (batch, length), weights in each.

Not verified on hardware. Written against optimum-neuron 0.4.1, which the serving image has:
`optimum.exporters.neuron.export` is what its command `optimum-cli export neuron` ends in, without
the command's look-ups on the hub and its cache of compiled models there. It runs on a CPU: the
compiler needs no Neuron device when it is told the instance type.
"""

import copy
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch
from bundle import Bucket, shapes
from classifier import CompileError, PositiveProbability, quiet
from export import Exported
from neuron_machine import Neuron

INSTANCE_TYPE = "inf2"  # always named: without a device optimum-neuron takes trn1
SUFFIX = ".neuron"
_TASK = "text-classification"
_CORES = 1  # a traced graph runs on one
TIED_TO = ("neuronx-cc", "torch-neuronx")
# An inf2.xlarge has 16 GB for two workers, and each loads every graph.
MOST_BYTES = 4 << 30


def export(model: PositiveProbability, folder: Path, settings: Mapping[str, Any]) -> Exported:
    """Exports a model, a graph for each batch size and length: see `export.export`.

    Raises:
        CompileError: if the compiler is missing, is another one than the lock is to name, or fails;
            or if the graphs are too large for the smallest instance.
    """
    tied_to = installed(os.environ.get("NEURON_COMPILER"))
    auto_cast = settings["auto_cast"]
    buckets = shapes(settings["batch_sizes"], settings["sequence_lengths"], suffix=SUFFIX)
    inputs: Sequence[str] = ()
    for bucket in buckets:
        # The exporter changes the configuration of what it is given.
        classifier = copy.deepcopy(model.classifier)
        inputs = compile_graph(classifier, bucket, folder / bucket.graph, auto_cast=auto_cast)
    _check_size(folder, buckets)
    neuron = Neuron(inputs=tuple(inputs), cores=_CORES, packages=tied_to)
    return Exported(
        buckets=buckets,
        packages=("optimum-neuron", *TIED_TO),
        dtype="float32" if auto_cast == "none" else "bfloat16",
        cores=_CORES,
        runtime=asdict(neuron),
    )


def installed(compiler: str | None) -> dict[str, str]:
    """Returns the versions that graphs are tied to.

    Args:
        compiler: the version of neuronx-cc that the image is known to have.

    Raises:
        CompileError: if a package is missing, or the image has another compiler: its tag was moved.
    """
    try:
        found = {name: version(name) for name in TIED_TO}
    except PackageNotFoundError as error:
        raise _not_the_image(str(error.name)) from error
    public = found["neuronx-cc"].partition("+")[0]  # +<commit> comes after it
    if public != compiler:
        raise CompileError(
            f"this image has neuronx-cc {public}, "
            f"src/sashiko/aws/resources/images/images.yaml says {compiler}: AWS has moved "
            "its tag; look at the new image, then change the map or pin the old digest "
            "(image_digests)"
        )
    return found


def compile_graph(
    classifier: torch.nn.Module, bucket: Bucket, path: Path, *, auto_cast: str
) -> Sequence[str]:
    """Compiles one shape into a TorchScript file that gives logits.

    Args:
        classifier: the Hugging Face model; its configuration is changed.
        bucket: the shape.
        path: the file.
        auto_cast: the operations that the compiler casts to bfloat16: none, matmul or all.

    Returns:
        The names of the graph's inputs, in their order.

    Raises:
        CompileError: if optimum-neuron does not know the architecture, or the compiler fails.
    """
    os.environ["TORCHDYNAMO_DISABLE"] = "1"  # as optimum-neuron's own command does
    try:
        from optimum.neuron.utils.instance import align_compilation_target

        # Before neuronx-distributed is imported, which reads what this sets.
        align_compilation_target(INSTANCE_TYPE, override=True)
        import optimum.exporters.neuron.model_configs  # noqa: F401  it registers architectures
        from optimum.exporters.neuron import export
        from optimum.exporters.tasks import TasksManager
        from optimum.neuron.utils import InputShapesArguments
    except ImportError as error:
        raise _not_the_image(str(error.name)) from error
    try:
        constructor = TasksManager.get_exporter_config_constructor(
            exporter="neuron", model=classifier, task=_TASK, library_name="transformers"
        )
    except (KeyError, ValueError) as error:
        raise CompileError(f"optimum-neuron cannot export this model: {error}") from error
    shape = InputShapesArguments(batch_size=bucket.batch, sequence_length=bucket.length)
    with tempfile.TemporaryDirectory(prefix="neuronx-") as workdir, _told(bucket), quiet():
        inputs, _ = export(
            model_or_path=classifier,
            config=constructor(classifier.config, dynamic_batch_size=False, input_shapes=shape),
            output=path,
            instance_type=INSTANCE_TYPE,
            compiler_workdir=Path(workdir),
            inline_weights_to_neff=True,
            auto_cast=None if auto_cast == "none" else auto_cast,
            auto_cast_type="bf16",
        )
    return list(inputs)


@contextmanager
def _told(bucket: Bucket) -> Iterator[None]:
    """Says what the compiler's failure means; torch-neuronx gives its exit status alone."""
    try:
        yield
    except RuntimeError as error:
        killed = "; it was killed, most often because memory ran out" if "-9" in str(error) else ""
        raise CompileError(
            f"the Neuron compiler failed for {bucket.batch} rows of {bucket.length} tokens: "
            f"{error}{killed}. Give `jobs.scoring` an instance with more memory, or compile "
            "smaller batches (compile.batch_sizes)"
        ) from error


def _check_size(folder: Path, buckets: Sequence[Bucket]) -> None:
    total = sum((folder / bucket.graph).stat().st_size for bucket in buckets)
    if total > MOST_BYTES:
        raise CompileError(
            f"{len(buckets)} graphs take {total / (1 << 30):.1f} GiB, and each worker loads them "
            f"all: at most {MOST_BYTES >> 30} GiB fit an inf2.xlarge; name fewer "
            "compile.batch_sizes or compile.sequence_lengths"
        )


def _not_the_image(package: str) -> CompileError:
    return CompileError(
        f"compile.target: inf2 needs AWS's Neuron image, and this machine lacks {package}: compile "
        "for cpu here (--set compile.target=cpu)"
    )
