"""A model card's content, by SageMaker's schema of a model package's card.

Source: "Model package model card schema" in the Amazon SageMaker AI Developer Guide (model version
details), read on 2026-11-25. botocore knows the content as a string only, so these records are the
check: a card that can be made and read here has the keys, types and lengths that SageMaker asks
for. Of the schema's metrics, a card of ours holds numbers (`simple_metric`).
"""

from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from sashiko.core.yaml_models import Frozen
from sashiko.settings.card import RiskRating

Text63 = Annotated[str, Field(min_length=1, max_length=63)]
Text255 = Annotated[str, Field(min_length=1, max_length=255)]
Text1024 = Annotated[str, Field(max_length=1024)]
Text2048 = Annotated[str, Field(max_length=2048)]


class _Part(Frozen):
    """SageMaker's own names of keys begin with `model_`, which pydantic keeps for itself."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())


class ModelOverview(_Part):
    """Who made the model."""

    model_creator: Text1024


class IntendedUses(_Part):
    """What it is for."""

    purpose_of_model: Text2048
    intended_uses: Text2048
    factors_affecting_model_efficiency: Text2048
    risk_rating: RiskRating
    explanations_for_risk_rating: Text2048


class BusinessDetails(_Part):
    """Whose it is."""

    business_problem: Text2048
    business_stakeholders: Text2048


class HyperParameter(_Part):
    """A setting of the training."""

    name: Text255
    value: Text255


class TrainingJobDetails(_Part):
    """How it was trained."""

    training_datasets: Annotated[tuple[Text1024, ...], Field(max_length=15)]
    user_provided_hyper_parameters: Annotated[tuple[HyperParameter, ...], Field(max_length=100)]


class TrainingDetails(_Part):
    """What it was trained on, and how."""

    training_observations: Text1024
    training_job_details: TrainingJobDetails


class SimpleMetric(_Part):
    """A number, with its interval in words."""

    name: Text255
    type: Literal["number"] = "number"
    value: Annotated[float, Field(allow_inf_nan=False)]
    notes: Text1024 | None = None


class MetricGroup(_Part):
    """Numbers that belong together."""

    name: Text63
    metric_data: tuple[SimpleMetric, ...]


class Evaluation(_Part):
    """What was measured, on which data."""

    name: Text63
    evaluation_observation: Annotated[str, Field(max_length=2096)]
    datasets: Annotated[tuple[Text1024, ...], Field(max_length=10)]
    metric_groups: tuple[MetricGroup, ...]


class AdditionalInformation(_Part):
    """Bias, limits, and what the card rests on."""

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
