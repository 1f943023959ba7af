"""What a target's artifact holds beside the tokenizer and the handler."""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bundle import EAGER_FOLDER, Bucket, Neuron, shapes
from classifier import CompileError, PositiveProbability, check_lengths

MODEL_FILE = "model.safetensors"
_CONFIG_FILE = "config.json"
_COMMON = ("numpy", "tokenizers", "torch", "transformers")


@dataclass(frozen=True)
class Exported:
    """What was made of a model.

    Attributes:
        buckets: its shapes.
        packages: the packages that made it.
        dtype: what the most of it is computed in.
        onnx_opset: of target cpu alone.
        neuron: of target inf2 alone.
    """

    buckets: tuple[Bucket, ...]
    packages: tuple[str, ...]
    dtype: str = "float32"
    onnx_opset: int | None = None
    neuron: Neuron | None = None


def export(
    model: PositiveProbability, source: Path, artifact: Path, settings: Mapping[str, Any]
) -> Exported:
    """Writes the compiled model into the artifact's folder.

    For an accelerator the model itself goes along: Evaluate, and later the comparison with this
    model as the champion, score it on a CPU.

    Args:
        model: what to export.
        source: the Hugging Face folder that it was loaded from.
        artifact: where the files go.
        settings: the recipe's section `compile`.

    Raises:
        CompileError: if the model, the settings or this machine do not fit the target.
    """
    check_lengths(model, settings["sequence_lengths"])
    lengths, sizes = settings["sequence_lengths"], settings["batch_sizes"]
    # What each target needs is in its own image alone.
    if settings["target"] == "cpu":
        from export_onnx import OPSET, export_graphs

        int8 = settings["quantization"] == "int8"
        graphs = export_graphs(
            model, artifact, batch_sizes=sizes, sequence_lengths=lengths, int8=int8
        )
        return Exported(
            buckets=graphs,
            packages=(*_COMMON, "onnx", "onnxruntime", "onnxscript"),
            dtype="int8" if int8 else "float32",
            onnx_opset=OPSET,
        )
    _copy_model(source, artifact / EAGER_FOLDER)
    if settings["target"] == "gpu":
        return Exported(buckets=shapes(sizes, lengths), packages=_COMMON)
    if settings["target"] == "inf2":
        from export_neuron import TIED_TO, export_neffs

        graphs, neuron = export_neffs(
            model,
            artifact,
            batch_sizes=sizes,
            sequence_lengths=lengths,
            auto_cast=settings["auto_cast"],
        )
        return Exported(
            buckets=graphs,
            packages=(*_COMMON, "optimum-neuron", *TIED_TO),
            dtype="float32" if settings["auto_cast"] == "none" else "bfloat16",
            neuron=neuron,
        )
    raise CompileError(f"compile.target: {settings['target']}: allowed: cpu, gpu, inf2")


def _copy_model(source: Path, folder: Path) -> None:
    folder.mkdir()
    for name in (_CONFIG_FILE, MODEL_FILE):
        shutil.copyfile(source / name, folder / name)
