"""Writes the compile lock: how an artifact was compiled, and what may serve it."""

import json
import os
import sys
from collections.abc import Mapping
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

from export import Exported
from merge import Merge
from pack import files_of, sha256

LOCK_FILE = "compile-lock.json"
_PACKAGES = ("numpy", "tokenizers", "torch", "transformers")  # of every target


def write_lock(
    folder: Path,
    *,
    settings: Mapping[str, Any],
    exported: Exported,
    difference: float | None,
    weights: Path,
    artifact: Path,
    archive: Path,
    merge: Merge | None = None,
    cast_difference: float | None = None,
) -> None:
    """Writes `compile-lock.json`.

    Image, SDK and compiler come from the environment: a job cannot read its own image's name.

    Args:
        folder: the folder to write to.
        settings: the recipe's section `compile`.
        exported: the compiled model.
        difference: the largest one from the eager model's probabilities; None for an accelerator,
            without which it cannot be measured.
        weights: the model's file, as it is served.
        artifact: the artifact's folder.
        archive: the packed artifact.
        merge: of a causal LM, what its weights were merged of.
        cast_difference: the largest one of a probability between the merged weights in float32 and
            as they are served; None if they are served in float32.
    """
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
        "batch_sizes": sorted(settings["batch_sizes"]),
        "sequence_lengths": sorted(settings["sequence_lengths"]),
        "tolerance": settings["tolerance"],
        "largest_difference": difference,
        "weights_sha256": sha256(weights),
        "artifact": {name: sha256(artifact / name) for name in files_of(artifact)},
        "artifact_sha256": sha256(archive),
        "causal": merge and _causal(merge, cast_difference),
    }
    text = json.dumps(lock, indent=2, sort_keys=True) + "\n"
    (folder / LOCK_FILE).write_text(text, encoding="utf-8")


def _causal(merge: Merge, cast_difference: float | None) -> Mapping[str, Any]:
    """Returns what a causal LM was merged of; `weights_sha256` is of the weights as served."""
    return {
        "base": dict(merge.base),
        "adapter_sha256": merge.adapter_sha256,
        "merged_sha256": merge.merged_sha256,
        "merge_difference": merge.difference,
        "cast_difference": cast_difference,
        "answered": asdict(merge.answered),
        "answers": list(merge.prompt.answers),
        "chat_template_sha256": merge.prompt.chat_template_sha256,
    }
