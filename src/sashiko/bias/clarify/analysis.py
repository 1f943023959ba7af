"""Reads and writes Clarify's `analysis.json`.

Source of the schema: "Analysis Results" in the Amazon SageMaker AI Developer Guide.
"""

import math
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from sashiko.base.files import read_json, write_json
from sashiko.base.yaml_models import Excerpt, Frozen, validate
from sashiko.bias.metrics.bias_table import Stage, stage_metrics

# Clarify's `analysis_config.json`: the part that the bias step supports.
#
# Unsupported keys and metrics are errors; none is ignored silently.
# Source of the keys: "Analysis Configuration Files" in the Amazon SageMaker AI Developer Guide, and
# `sagemaker.core.clarify.ANALYSIS_CONFIG_SCHEMA_V1_0`.


CONFIG_FILE = "analysis_config.json"
CSV: Literal["text/csv"] = "text/csv"


class MethodConfig(Frozen):
    """The metrics of a stage: names, or `all`; the flip test needs features, which text has not."""

    methods: tuple[str, ...] | str = "all"

    def names(self, stage: Stage) -> tuple[str, ...]:
        """Returns the metrics' names in alphabetical order, as Clarify lists them."""
        requested = (self.methods,) if isinstance(self.methods, str) else self.methods
        supported = stage_metrics(stage)
        if requested == ("all",):
            return supported
        unknown = [name for name in requested if name not in supported]
        if unknown or not requested:
            problem = f"`{'`, `'.join(unknown)}` is not supported" if unknown else "names no metric"
            raise ValueError(
                f"{stage}_bias.methods: {problem}; supported: all, {', '.join(supported)}"
            )
        return tuple(sorted(set(requested)))


class ReportConfig(Frozen):
    """Clarify's notebook and PDF; accepted but not written, as each run has its own report."""

    name: str
    title: str | None = None


class MethodsConfig(Frozen):
    """The methods to compute."""

    pre_training_bias: MethodConfig | None = None
    post_training_bias: MethodConfig | None = None
    report: ReportConfig | None = None

    @model_validator(mode="after")
    def _check_metrics(self) -> "MethodsConfig":
        if self.pre_training_bias is None and self.post_training_bias is None:
            raise ValueError("name `pre_training_bias`, `post_training_bias`, or both")
        if self.pre_training_bias:
            self.pre_training_bias.names("pre_training")
        if self.post_training_bias:
            self.post_training_bias.names("post_training")
        return self

    def names(self, stage: Stage) -> tuple[str, ...]:
        """Returns the requested metrics of a stage; empty if the stage was not requested."""
        config = self.pre_training_bias if stage == "pre_training" else self.post_training_bias
        return config.names(stage) if config else ()


def _check_value(value: Any) -> Any:
    if not isinstance(value, str) and (isinstance(value, bool) or value not in (0, 1)):
        raise ValueError(
            "expected a text, or 0 or 1; a threshold or range is not supported: the step before "
            "must group numbers into bands"
        )
    return value


def _check_label_value(value: Any) -> Any:
    if type(value) is float and math.isfinite(value):
        return value
    if not isinstance(value, str) and (isinstance(value, bool) or value not in (0, 1)):
        raise ValueError("expected a text, 0 or 1, or a threshold with a point, such as 2.0")
    return value


def _check_name(value: Any) -> Any:
    if not isinstance(value, str) or not value:
        raise ValueError("expected a column's name; an index is not supported")
    return value


Name = Annotated[str, BeforeValidator(_check_name)]
Value = Annotated[int | str, BeforeValidator(_check_value)]
# A number with a point is a threshold. Clarify decides that by the share of distinct values, so
# that one configuration may mean either (aws/amazon-sagemaker-clarify, common.py).
LabelValue = Annotated[int | float | str, BeforeValidator(_check_label_value)]


class FacetConfig(Frozen):
    """A sensitive column and the values of its disadvantaged group.

    Without values, each value of the column is compared with all other rows in turn.
    """

    name_or_index: Name
    value_or_threshold: tuple[Value, ...] = ()


class AnalysisConfig(Frozen):
    """The whole configuration."""

    version: Literal["1.0"] = "1.0"  # of the schema
    dataset_type: Literal["text/csv", "application/x-parquet"]
    headers: tuple[str, ...] | None = None  # the columns' names, as in the files
    label: Name
    # Of the positive label: its values, or the exclusive lower bound of a number, such as 0.0.
    label_values_or_threshold: tuple[LabelValue, ...] = Field(min_length=1)
    predicted_label: Name | None = None  # the predictions' column
    facet: tuple[FacetConfig, ...] = Field(min_length=1)  # sensitive columns
    group_variable: Name | None = None  # the column on which CDDL and CDDPL condition
    # Columns of the data set that are no features of the model.
    excluded_columns: tuple[Name, ...] = ()
    methods: MethodsConfig  # the metrics to compute

    @model_validator(mode="after")
    def _check_keys(self) -> "AnalysisConfig":
        if self.methods.post_training_bias and self.predicted_label is None:
            raise ValueError(
                "methods.post_training_bias needs predictions; name the predictions' column in "
                "`predicted_label`"
            )
        thresholds = [value for value in self.label_values_or_threshold if type(value) is float]
        if thresholds and len(self.label_values_or_threshold) > 1:
            raise ValueError("label_values_or_threshold: give one threshold, or values")
        facets = [facet.name_or_index for facet in self.facet]
        named = [self.label, self.predicted_label, self.group_variable, *facets]
        used = [name for name in named if name is not None]
        if len(set(used)) < len(used):
            raise ValueError(
                "label, predicted_label, group_variable and each facet must be different columns, "
                f"but they are {', '.join(used)}"
            )
        return self

    @property
    def threshold(self) -> float | None:
        """The exclusive lower bound of a positive label that is a number; None of classes."""
        value = self.label_values_or_threshold[0]
        return value if isinstance(value, float) else None


def read_config(folder: Path) -> AnalysisConfig:
    """Reads `analysis_config.json` from a folder.

    Raises:
        InputError: names the file, the key and the supported values.
    """
    path = folder / CONFIG_FILE
    return validate(AnalysisConfig, read_json(path), source=str(path))


ANALYSIS_FILE = "analysis.json"


class MetricResult(Excerpt):
    """A metric of one group."""

    name: str  # its abbreviation
    description: str = ""  # its full name
    # The number; None where it is undefined; Clarify writes infinities as words.
    value: float | Literal["Infinity", "-Infinity"] | None = None
    error: str | None = None  # why the value is undefined; None if it is defined


class GroupResult(Excerpt):
    """The metrics of one group of a facet against everyone else."""

    value_or_threshold: str  # the group's values, joined by commas
    metrics: tuple[MetricResult, ...]  # in alphabetical order


class StageResult(Excerpt):
    """Bias of the labels or of the predictions."""

    label: str  # the label's column
    label_value_or_threshold: str  # its positive values, joined by commas
    facets: dict[str, tuple[GroupResult, ...]]  # facet column -> its groups


class Analysis(Excerpt):
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
