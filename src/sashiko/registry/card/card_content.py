"""A model card's content, by SageMaker's schema of a model package's card.

Source: "Model package model card schema" in the Amazon SageMaker AI Developer Guide (model version
details), read on 2026-11-25. In botocore the content is a plain string, so these records validate
it: they have the keys, types and lengths that SageMaker requires. Of the schema's metrics, this
project uses numbers only (`simple_metric`).
"""

from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from sashiko.base.yaml_models import Frozen
from sashiko.settings.card import RiskRating

Text63 = Annotated[str, Field(min_length=1, max_length=63)]
Text255 = Annotated[str, Field(min_length=1, max_length=255)]
Text1024 = Annotated[str, Field(max_length=1024)]
Text2048 = Annotated[str, Field(max_length=2048)]


class _Part(Frozen):
    """Allows SageMaker's key names that begin with `model_`, which pydantic protects."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())


class ModelOverview(_Part):
    """The creator of the model."""

    model_creator: Text1024


class IntendedUses(_Part):
    """The intended uses."""

    purpose_of_model: Text2048
    intended_uses: Text2048
    factors_affecting_model_efficiency: Text2048
    risk_rating: RiskRating
    explanations_for_risk_rating: Text2048


class BusinessDetails(_Part):
    """The business problem and its stakeholders."""

    business_problem: Text2048
    business_stakeholders: Text2048


class HyperParameter(_Part):
    """A hyperparameter of the training."""

    name: Text255
    value: Text255


class TrainingJobDetails(_Part):
    """The datasets and hyperparameters of the training job."""

    training_datasets: Annotated[tuple[Text1024, ...], Field(max_length=15)]
    user_provided_hyper_parameters: Annotated[tuple[HyperParameter, ...], Field(max_length=100)]


class TrainingDetails(_Part):
    """The training of the model."""

    training_observations: Text1024
    training_job_details: TrainingJobDetails


class SimpleMetric(_Part):
    """A number, with its interval as text."""

    name: Text255
    type: Literal["number"] = "number"
    value: Annotated[float, Field(allow_inf_nan=False)]
    notes: Text1024 | None = None


class MetricGroup(_Part):
    """A group of metrics."""

    name: Text63
    metric_data: tuple[SimpleMetric, ...]


class Evaluation(_Part):
    """An evaluation: its data and metrics."""

    name: Text63
    evaluation_observation: Annotated[str, Field(max_length=2096)]
    datasets: Annotated[tuple[Text1024, ...], Field(max_length=10)]
    metric_groups: tuple[MetricGroup, ...]


class AdditionalInformation(_Part):
    """Bias, limitations, and the sources of the card."""

    ethical_considerations: Text2048
    caveats_and_recommendations: Text2048
    custom_details: dict[str, Text1024]


class ModelCard(_Part):
    """A whole card."""

    model_overview: ModelOverview
    intended_uses: IntendedUses
    business_details: BusinessDetails
    training_details: TrainingDetails
    evaluation_details: tuple[Evaluation, ...]
    additional_information: AdditionalInformation
