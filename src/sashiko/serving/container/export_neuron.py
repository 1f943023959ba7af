"""Exporter of target inf2: one Neuron graph for each (batch, length), each with the weights.

Not verified on hardware. Written against optimum-neuron 0.4.1, which the serving image has. It
calls `optimum.exporters.neuron.export` like the command `optimum-cli export neuron`, but without
the command's requests to the hub and to the cache of compiled models there. It runs on a CPU: the
compiler needs no Neuron device if the instance type is given.
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
from classifier import CompileError, ScoredModel, quiet
from export import Exported
from neuron_machine import Neuron

INSTANCE_TYPE = "inf2"  # always given: without a device, optimum-neuron's default is trn1
SUFFIX = ".neuron"
_TASK = "text-classification"
_CORES = 1  # a traced graph runs on one
COMPILER_PACKAGES = ("neuronx-cc", "torch-neuronx")
# An inf2.xlarge has 16 GB for two workers, and each loads every graph.
MOST_BYTES = 4 << 30


def export(model: ScoredModel, folder: Path, settings: Mapping[str, Any]) -> Exported:
    """Exports a model, a graph for each batch size and length: see `export.export`.

    Raises:
        CompileError: if the compiler is missing, fails or differs from the one that the lock names,
            or the graphs are too large for the smallest instance.
    """
    versions = compiler_versions(os.environ.get("NEURON_COMPILER"))
    auto_cast = settings["auto_cast"]
    buckets = shapes(settings["batch_sizes"], settings["sequence_lengths"], suffix=SUFFIX)
    inputs: Sequence[str] = ()
    for bucket in buckets:
        # The exporter changes the classifier's configuration.
        classifier = copy.deepcopy(model.classifier)
        inputs = compile_graph(classifier, bucket, folder / bucket.graph, auto_cast=auto_cast)
    total = sum((folder / bucket.graph).stat().st_size for bucket in buckets)
    if total > MOST_BYTES:
        raise CompileError(
            f"{len(buckets)} graphs take {total / (1 << 30):.1f} GiB, and each worker loads them "
            f"all: at most {MOST_BYTES >> 30} GiB fit an inf2.xlarge; name fewer "
            "compile.batch_sizes or compile.sequence_lengths"
        )
    neuron = Neuron(inputs=tuple(inputs), cores=_CORES, packages=versions)
    return Exported(
        buckets=buckets,
        packages=("optimum-neuron", *COMPILER_PACKAGES),
        dtype="float32" if auto_cast == "none" else "bfloat16",
        cores=_CORES,
        runtime=asdict(neuron),
    )


def compiler_versions(compiler: str | None) -> dict[str, str]:
    """Returns the versions of the packages that graphs depend on.

    `compiler` is the version of neuronx-cc that `images.yaml` names for the image.

    Raises:
        CompileError: if a package is missing, or the image has another compiler: its tag was moved.
    """
    try:
        versions = {name: version(name) for name in COMPILER_PACKAGES}
    except PackageNotFoundError as error:
        raise wrong_image(error, "inf2") from error
    release = versions["neuronx-cc"].partition("+")[0]  # without +<commit>
    if release != compiler:
        raise CompileError(
            f"this image has neuronx-cc {release}, src/sashiko/account/images/images.yaml says "
            f"{compiler}: AWS has moved its tag; review the new image, then change the map or pin "
            "the old digest (image_digests)"
        )
    return versions


def compile_graph(
    classifier: torch.nn.Module, bucket: Bucket, path: Path, *, auto_cast: str
) -> Sequence[str]:
    """Compiles one shape into a TorchScript file that returns logits.

    The classifier's configuration is changed. `auto_cast` names the operations that the compiler
    casts to bfloat16: none, matmul or all.

    Returns:
        The names of the graph's inputs, in their order.

    Raises:
        CompileError: if optimum-neuron does not know the architecture, or the compiler fails.
    """
    os.environ["TORCHDYNAMO_DISABLE"] = "1"  # as optimum-neuron's own command does
    try:
        from optimum.neuron.utils.instance import align_compilation_target

        # Before neuronx-distributed is imported, which reads the variable that this sets.
        align_compilation_target(INSTANCE_TYPE, override=True)
        import optimum.exporters.neuron.model_configs  # noqa: F401  it registers architectures
        from optimum.exporters.neuron import export
        from optimum.exporters.tasks import TasksManager
        from optimum.neuron.utils import InputShapesArguments
    except ImportError as error:
        raise wrong_image(error, "inf2") from error
    shape = InputShapesArguments(batch_size=bucket.batch, sequence_length=bucket.length)
    with (
        tempfile.TemporaryDirectory(prefix="neuronx-") as workdir,
        translate_errors(bucket),
        quiet(),
    ):
        constructor = TasksManager.get_exporter_config_constructor(
            exporter="neuron", model=classifier, task=_TASK, library_name="transformers"
        )
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
def translate_errors(bucket: Bucket) -> Iterator[None]:
    """Explains a failure of the compiler, of which torch-neuronx reports only the exit status.

    Raises:
        CompileError: if optimum-neuron does not know the architecture, or the compiler fails.
    """
    try:
        yield
    except (KeyError, ValueError) as error:
        raise CompileError(f"optimum-neuron cannot export this model: {error}") from error
    except RuntimeError as error:
        hint = "; it was killed, most often because memory ran out" if "-9" in str(error) else ""
        raise CompileError(
            f"the Neuron compiler failed for {bucket.batch} rows of {bucket.length} tokens: "
            f"{error}{hint}. Give `jobs.scoring` an instance with more memory, or compile "
            "smaller batches (compile.batch_sizes)"
        ) from error


def wrong_image(error: ImportError, target: str) -> CompileError:
    """Returns the refusal of a machine without the compiler's packages."""
    return CompileError(
        f"compile.target: {target} needs AWS's Neuron image, and this machine lacks {error.name}: "
        "compile for cpu here (--set compile.target=cpu)"
    )
