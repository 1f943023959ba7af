"""Clarify's `analysis_config.json`: the part that the bias step supports.

A key or a metric that is not below is refused by name; nothing is ignored in silence.
Source of the keys: "Analysis Configuration Files" in the Amazon SageMaker AI Developer Guide, and
`sagemaker.core.clarify.ANALYSIS_CONFIG_SCHEMA_V1_0`.
"""

from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from sashiko.files import read_json
from sashiko.metrics.bias import stage_metrics
from sashiko.metrics.bias_table import Stage
from sashiko.yaml_models import Frozen, validate

CONFIG_FILE = "analysis_config.json"
Value = int | float | str


class FacetConfig(Frozen):
    """A sensitive column and the values of its disadvantaged group.

    Without values each value of the column is the disadvantaged group in turn, and all others
    together are the advantaged one.
    """

    name_or_index: str
    value_or_threshold: tuple[Value, ...] = ()


class MethodConfig(Frozen):
    """Which metrics of a stage: their names, or `all` that are supported."""

    methods: tuple[str, ...] | str = "all"

    def names(self, stage: Stage) -> tuple[str, ...]:
        """Returns the metrics' names in alphabetical order, as Clarify lists them."""
        chosen = (self.methods,) if isinstance(self.methods, str) else self.methods
        supported = stage_metrics(stage)
        if chosen == ("all",):
            return supported
        unknown = [name for name in chosen if name not in supported]
        if unknown or not chosen:
            named = f"`{'`, `'.join(unknown)}` is not supported" if unknown else "names no metric"
            raise ValueError(
                f"{stage}_bias.methods: {named}; supported: all, {', '.join(supported)}"
            )
        return tuple(sorted(set(chosen)))


class ReportConfig(Frozen):
    """Asks Clarify for a notebook and a PDF, which our step leaves to the run's own report."""

    name: str
    title: str | None = None


class MethodsConfig(Frozen):
    """What is computed."""

    pre_training_bias: MethodConfig | None = None
    post_training_bias: MethodConfig | None = None
    report: ReportConfig | None = None

    @model_validator(mode="after")
    def _metrics_are_known(self) -> "MethodsConfig":
        if self.pre_training_bias is None and self.post_training_bias is None:
            raise ValueError("name `pre_training_bias`, `post_training_bias`, or both")
        if self.pre_training_bias:
            self.pre_training_bias.names("pre_training")
        if self.post_training_bias:
            self.post_training_bias.names("post_training")
        return self

    def names(self, stage: Stage) -> tuple[str, ...]:
        """Returns the metrics asked for of a stage; none if it was not asked for."""
        chosen = self.pre_training_bias if stage == "pre_training" else self.post_training_bias
        return chosen.names(stage) if chosen else ()


class AnalysisConfig(Frozen):
    """The whole configuration.

    Columns are given by name, label and facets are categorical: a value is compared, never used
    as a threshold on a number, which Clarify would guess from how many distinct values there are.
    """

    version: Literal["1.0"] = "1.0"
    dataset_type: Literal["text/csv", "application/x-parquet"]
    headers: tuple[str, ...] | None = None
    label: str
    label_values_or_threshold: tuple[Value, ...] = Field(min_length=1)
    predicted_label: str | None = None
    facet: tuple[FacetConfig, ...] = Field(min_length=1)
    excluded_columns: tuple[str, ...] = ()
    methods: MethodsConfig

    @model_validator(mode="after")
    def _columns_agree(self) -> "AnalysisConfig":
        if self.methods.post_training_bias and self.predicted_label is None:
            raise ValueError("post_training_bias needs `predicted_label`, a column of the data")
        used = self.columns
        if len(set(used)) < len(used):
            raise ValueError("label, predicted_label and facets must be different columns")
        both = sorted(set(used) & set(self.excluded_columns))
        if both:
            raise ValueError(
                f"excluded_columns: `{'`, `'.join(both)}` is analysed, so it must stay"
            )
        if self.headers is not None:
            if len(set(self.headers)) < len(self.headers):
                raise ValueError("headers: a name occurs twice")
            absent = [name for name in (*used, *self.excluded_columns) if name not in self.headers]
            if absent:
                raise ValueError(
                    f"headers: `{'`, `'.join(absent)}` is named elsewhere but not here"
                )
        return self

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that are read: label, predicted label, facets."""
        predicted = () if self.predicted_label is None else (self.predicted_label,)
        return (self.label, *predicted, *(facet.name_or_index for facet in self.facet))


def read_config(folder: Path) -> AnalysisConfig:
    """Reads `analysis_config.json` from a folder.

    Raises:
        InputError: naming the file, the key, and what is supported.
    """
    path = folder / CONFIG_FILE
    return validate(AnalysisConfig, read_json(path), source=str(path))
