"""The reports that a model package points to: quality, data quality, bias, and what drift is of."""

from collections.abc import Mapping
from typing import Any

from sashiko.evaluation.gates.estimates import INTERVALS_FILE, POST_ANALYSIS_FILE, PRE_ANALYSIS_FILE
from sashiko.evaluation.record import METRICS_FILE
from sashiko.registry.model_packages.files import ModelFiles

_QUALITY = {
    "ModelQuality": {"Statistics": METRICS_FILE, "Constraints": "model-quality/verdict.json"},
    "ModelDataQuality": {"Constraints": "data-quality/verdict.json"},
}


def model_metrics(files: ModelFiles) -> dict[str, Any]:
    """Returns `ModelMetrics`: what was measured, and the verdicts as its constraints."""
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
    """Returns `DriftCheckBaselines`: what later data and predictions are held against."""
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


def _present(files: ModelFiles, wanted: Mapping[str, Mapping[str, str]]) -> dict[str, Any]:
    """Leaves out what a run without facets does not have."""
    found = {
        kind: {
            key: {
                "ContentType": "application/json",
                "ContentDigest": f"sha256:{files.digests[name]}",
                "S3Uri": files.at(name),
            }
            for key, name in names.items()
            if name in files.digests
        }
        for kind, names in wanted.items()
    }
    return {kind: sources for kind, sources in found.items() if sources}
