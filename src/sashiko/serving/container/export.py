"""Exports a model into an artifact with the exporter of its target."""

import importlib
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bundle import EAGER_FOLDER, Bucket
from classifier import PositiveProbability, check_lengths

MODEL_FILE = "model.safetensors"
_CONFIG_FILE = "config.json"


@dataclass(frozen=True)
class Exported:
    """A compiled model.

    Attributes:
        buckets: its shapes.
        fixed_lengths: see `Bundle`.
        packages: the exporter's packages, whose versions go into the compile lock.
        dtype: the type of most computations.
        onnx_opset: of an ONNX graph.
        cores: accelerator cores of one copy of the model, and so of one worker.
        runtime: JSON values for the target's backend, which reads them in `Bundle.runtime`.
    """

    buckets: tuple[Bucket, ...]
    fixed_lengths: bool = True
    packages: tuple[str, ...] = ()
    dtype: str = "float32"
    onnx_opset: int | None = None
    cores: int | None = None
    runtime: Mapping[str, Any] = field(default_factory=dict)


def export(
    model: PositiveProbability,
    source: Path,
    artifact: Path,
    settings: Mapping[str, Any],
    target: Mapping[str, Any],
) -> Exported:
    """Writes the compiled model into the artifact's folder.

    For an accelerator, the model itself is copied too, as Evaluate scores it on a CPU, and so do
    later runs that compare a candidate with this model as the champion.

    Args:
        model: the trained model, in float32.
        source: the Hugging Face folder of the model as it is served.
        artifact: where the files go.
        settings: the recipe's section `compile`.
        target: its `target.json`. The module `exporter` defines `export(model, folder, settings)`,
            which writes the files of every shape or raises `CompileError`.

    Raises:
        CompileError: if the model, the settings or this machine do not fit the target.
    """
    check_lengths(model, settings["sequence_lengths"])
    if target["accelerated"]:
        _copy_model(source, artifact / EAGER_FOLDER)
    # An exporter's packages are in the image of its target only.
    exported: Exported = importlib.import_module(target["exporter"]).export(
        model, artifact, settings
    )
    return exported


def _copy_model(source: Path, folder: Path) -> None:
    folder.mkdir()
    for name in (_CONFIG_FILE, MODEL_FILE):
        shutil.copyfile(source / name, folder / name)
