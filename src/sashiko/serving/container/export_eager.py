"""Exporter of target gpu: nothing to compile, the artifact's own model takes every shape."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bundle import shapes
from classifier import PositiveProbability
from export import Exported


def export(
    model: PositiveProbability,  # noqa: ARG001
    folder: Path,  # noqa: ARG001
    settings: Mapping[str, Any],
) -> Exported:
    """Exports a model: see `export.export`."""
    return Exported(buckets=shapes(settings["batch_sizes"], settings["sequence_lengths"]))
