"""Reads and writes Clarify's `analysis.json`.

Source of the schema: "Analysis Results" in the Amazon SageMaker AI Developer Guide.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from sashiko.base.files import read_json, write_json
from sashiko.base.yaml_models import validate

ANALYSIS_FILE = "analysis.json"


class _ClarifyModel(BaseModel):
    """Ignores keys that this package does not use; Clarify may write more."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class MetricResult(_ClarifyModel):
    """A metric of one group."""

    name: str  # its abbreviation
    description: str = ""  # its full name
    # The number; None where it is undefined; Clarify writes infinities as words.
    value: float | Literal["Infinity", "-Infinity"] | None = None
    error: str | None = None  # why the value is undefined; None if it is defined


class GroupResult(_ClarifyModel):
    """The metrics of one group of a facet against everyone else."""

    value_or_threshold: str  # the group's values, joined by commas
    metrics: tuple[MetricResult, ...]  # in alphabetical order


class StageResult(_ClarifyModel):
    """Bias of the labels or of the predictions."""

    label: str  # the label's column
    label_value_or_threshold: str  # its positive values, joined by commas
    facets: dict[str, tuple[GroupResult, ...]]  # facet column -> its groups


class Analysis(_ClarifyModel):
    """The whole file."""

    version: str = "1.0"
    pre_training_bias_metrics: StageResult | None = None
    post_training_bias_metrics: StageResult | None = None


def joined(values: Iterable[object]) -> str:
    """Formats a group's name as Clarify does: its values joined by commas."""
    return ",".join(str(value) for value in values)


def analysis_json(analysis: Analysis) -> dict[str, Any]:
    """Returns the file's content without empty keys, except a metric's `value`."""
    value = analysis.model_dump(mode="json", exclude_none=True)
    for stage in ("pre_training_bias_metrics", "post_training_bias_metrics"):
        for groups in value.get(stage, {}).get("facets", {}).values():
            for metric in (metric for group in groups for metric in group["metrics"]):
                metric.setdefault("value", None)
    return value


def write_analysis(analysis: Analysis, folder: Path) -> None:
    """Writes `analysis.json`."""
    write_json(folder / ANALYSIS_FILE, analysis_json(analysis))


def read_analysis(folder: Path) -> Analysis:
    """Reads `analysis.json` from a folder.

    Raises:
        InputError: if the file is missing or has another schema.
    """
    path = folder / ANALYSIS_FILE
    return validate(Analysis, read_json(path), source=str(path))
