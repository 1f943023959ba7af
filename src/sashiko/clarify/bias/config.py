"""Clarify's `analysis_config.json`: the part that the bias step supports.

Unsupported keys and metrics are errors; none is ignored silently.
Source of the keys: "Analysis Configuration Files" in the Amazon SageMaker AI Developer Guide, and
`sagemaker.core.clarify.ANALYSIS_CONFIG_SCHEMA_V1_0`.
"""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from sashiko.clarify.bias.methods import MethodsConfig
from sashiko.core.files import read_json
from sashiko.core.yaml_models import Frozen, validate

CONFIG_FILE = "analysis_config.json"
CSV: Literal["text/csv"] = "text/csv"
PARQUET: Literal["application/x-parquet"] = "application/x-parquet"


def _reference(value: Any) -> Any:
    is_name = isinstance(value, str) and value
    is_index = isinstance(value, int) and not isinstance(value, bool) and value >= 0
    if not is_name and not is_index:
        raise ValueError("expected a column's name, or its zero-based index")
    return value


def _value(value: Any) -> Any:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not isinstance(value, str) and not (is_number and math.isfinite(value)):
        raise ValueError("expected a text or a finite number")
    return value


def _as_list(value: Any) -> Any:
    """Accepts a single value in place of a list, as the guide does."""
    return [value] if isinstance(value, str | int | float) else value


def _lower(value: Any) -> Any:
    return value.lower() if isinstance(value, str) else value


Reference = Annotated[int | str, BeforeValidator(_reference)]
Value = Annotated[int | float | str, BeforeValidator(_value)]
Values = Annotated[tuple[Value, ...], BeforeValidator(_as_list)]


class FacetConfig(Frozen):
    """A sensitive column and its disadvantaged group: values, a threshold or a range.

    Without values, each value of the column is compared with all other rows in turn.
    `criteria.criterion` decides between value and threshold.
    """

    name_or_index: Reference
    value_or_threshold: Values = ()


class AnalysisConfig(Frozen):
    """The whole configuration."""

    version: Literal["1.0"] = "1.0"  # of the schema
    dataset_type: Annotated[Literal["text/csv", "application/x-parquet"], BeforeValidator(_lower)]
    # The columns' names; without them the first row of a CSV, or `column_0` and so on.
    headers: tuple[str, ...] | None = None
    label: Reference
    label_values_or_threshold: Values = Field(min_length=1)  # what the positive label is
    predicted_label: Reference | None = None  # the predictions' column
    # Predictions are probabilities, and those above it count as 1.
    probability_threshold: float | None = Field(default=None, ge=0, le=1)
    facet: tuple[FacetConfig, ...] = Field(min_length=1)  # sensitive columns
    group_variable: Reference | None = None  # the column on which CDDL and CDDPL condition
    # Columns of the data set that are no features of the model.
    excluded_columns: tuple[Reference, ...] = ()
    methods: MethodsConfig  # the metrics to compute
    # Clarify's model endpoint; unused, since predictions are given.
    predictor: dict[str, Any] | None = None

    @model_validator(mode="after")
    def _check_keys(self) -> "AnalysisConfig":
        problem = next(_problems(self), None)
        if problem:
            raise ValueError(problem)
        return self


def read_config(folder: Path) -> AnalysisConfig:
    """Reads `analysis_config.json` from a folder.

    Raises:
        InputError: names the file, the key and the supported values.
    """
    path = folder / CONFIG_FILE
    return validate(AnalysisConfig, read_json(path), source=str(path))


def _problems(config: AnalysisConfig) -> Iterator[str]:
    """Yields contradictions between keys."""
    yield from _missing_predictions(config)
    if config.dataset_type == PARQUET:
        for name in ("label", "predicted_label"):
            if isinstance(getattr(config, name), int):
                yield f"{name}: must be a column's name where `dataset_type` is {PARQUET}"
    if len(set(config.headers or ())) < len(config.headers or ()):
        yield "headers: a name occurs twice"
    facets = [facet.name_or_index for facet in config.facet]
    if len(set(facets)) < len(facets):
        yield "facet: a column occurs twice; each facet is one column"


def _missing_predictions(config: AnalysisConfig) -> Iterator[str]:
    if config.predicted_label is not None:
        return
    advice = "name the predictions' column in `predicted_label`"
    if config.predictor is not None:
        yield f"predictor: this step does not call a model; {advice} and leave `predictor` out"
    if config.methods.post_training_bias:
        yield f"methods.post_training_bias needs predictions; {advice}"
    if config.probability_threshold is not None:
        yield f"probability_threshold: there are no predictions; {advice}"
