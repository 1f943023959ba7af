"""Exports a model into an artifact with the exporter of its target."""

import importlib
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bundle import EAGER_FOLDER, Bucket
from classifier import ScoredModel, check_lengths

MODEL_FILE = "model.safetensors"


@dataclass(frozen=True)
class Exported:
    """A compiled model."""

    buckets: tuple[Bucket, ...]  # its shapes
    fixed_lengths: bool = True  # see `Bundle`
    packages: tuple[str, ...] = ()  # the exporter's, whose versions go into the compile lock
    dtype: str = "float32"  # the type of most computations
    onnx_opset: int | None = None  # of an ONNX graph
    cores: int | None = None  # of an accelerator, for one copy of the model and so for one worker
    # JSON values for the target's backend, which reads them in `Bundle.runtime`.
    runtime: Mapping[str, Any] = field(default_factory=dict)


def export(
    model: ScoredModel,
    source: Path,
    artifact: Path,
    settings: Mapping[str, Any],
    target: Mapping[str, Any],
) -> Exported:
    """Writes the compiled model into the artifact's folder.

    For an accelerator, the model itself is copied too, as Evaluate scores it on a CPU, and so do
    later runs that compare a candidate with this model as the champion. `source` is the Hugging
    Face folder of the model as it is served. In `target`, its `target.json`, the module `exporter`
    defines `export(model, folder, settings)`, which writes the files of every shape.

    Raises:
        CompileError: if the model, the settings or this machine do not fit the target.
    """
    check_lengths(model, settings["sequence_lengths"])
    if target["accelerated"]:
        (artifact / EAGER_FOLDER).mkdir()
        for name in ("config.json", MODEL_FILE):
            shutil.copyfile(source / name, artifact / EAGER_FOLDER / name)
    # An exporter's packages are in the image of its target only.
    exported: Exported = importlib.import_module(target["exporter"]).export(
        model, artifact, settings
    )
    return exported
