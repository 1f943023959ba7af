"""The reports of a model package: quality, data quality, bias, and drift baselines."""

from collections.abc import Mapping
from typing import Any

from sashiko.bias.gates.estimates import INTERVALS_FILE, POST_ANALYSIS_FILE, PRE_ANALYSIS_FILE
from sashiko.evaluation.record import METRICS_FILE
from sashiko.evaluation.reference import REFERENCE_FILE
from sashiko.registry.model_packages.files import ModelFiles

_QUALITY = {
    "ModelQuality": {"Statistics": METRICS_FILE, "Constraints": "model-quality/verdict.json"},
    "ModelDataQuality": {
        "Statistics": REFERENCE_FILE,
        "Constraints": "data-quality/verdict.json",
    },
}


def model_metrics(files: ModelFiles) -> dict[str, Any]:
    """Returns `ModelMetrics`: the metrics, and the verdicts as their constraints."""
    return _present(
        files,
        _QUALITY
        | {
            "Bias": {
                "Report": INTERVALS_FILE,
                "PreTrainingReport": PRE_ANALYSIS_FILE,
                "PostTrainingReport": POST_ANALYSIS_FILE,
            },
        },
    )


def drift_baselines(files: ModelFiles) -> dict[str, Any]:
    """Returns `DriftCheckBaselines`: the baselines for later data and predictions."""
    return _present(
        files,
        _QUALITY
        | {
            "Bias": {
                "PreTrainingConstraints": PRE_ANALYSIS_FILE,
                "PostTrainingConstraints": POST_ANALYSIS_FILE,
            },
        },
    )


def _present(files: ModelFiles, specs: Mapping[str, Mapping[str, str]]) -> dict[str, Any]:
    """Returns the reports that exist; a run without facets has no bias reports."""
    entries = {
        kind: {
            key: {
                "ContentType": "application/json",
                "ContentDigest": f"sha256:{files.digests[name]}",
                "S3Uri": files.file_uri(name),
            }
            for key, name in names.items()
            if name in files.digests
        }
        for kind, names in specs.items()
    }
    return {kind: sources for kind, sources in entries.items() if sources}
