"""Exporter of target gpu: compiles nothing, as the trained model itself runs every shape."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bundle import shapes
from classifier import ScoredModel
from export import Exported


def export(
    model: ScoredModel,  # noqa: ARG001 - the same arguments for each target
    folder: Path,  # noqa: ARG001 - the same arguments for each target
    settings: Mapping[str, Any],
) -> Exported:
    """Exports a model: see `export.export`."""
    return Exported(
        buckets=shapes(settings["batch_sizes"], settings["sequence_lengths"]),
        dtype=settings["dtype"],
    )
