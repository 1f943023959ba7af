"""Exporter of target gpu-vllm: compiles nothing, as vLLM serves the merged model itself.

The model is a sequence classifier of transformers whose head is called `score`, which vLLM serves
as a pooling model: the head at the last token of a prompt, in float32 ("Pooling Models" and
"Classification Usages" in vLLM's documentation).
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bundle import shapes
from classifier import ScoredModel
from export import Exported

# SageMaker calls port 8080 ("Custom Inference Code with Hosting Services", Developer Guide), and
# vLLM answers its own API there too.
_URL = "http://127.0.0.1:8080/classify"


def export(
    model: ScoredModel,  # noqa: ARG001 - the same arguments for each target
    folder: Path,  # noqa: ARG001 - the same arguments for each target
    settings: Mapping[str, Any],
) -> Exported:
    """Exports a model: see `export.export`."""
    return Exported(
        buckets=shapes(settings["batch_sizes"], settings["sequence_lengths"]),
        fixed_lengths=False,
        dtype=settings["dtype"],
        runtime={"url": _URL},
    )
