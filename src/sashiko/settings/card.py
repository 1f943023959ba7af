"""What only a person can say of a model: the recipe's `card`."""

from typing import Literal

from pydantic import Field

from sashiko.core.yaml_models import Frozen

_UNSTATED = "Not stated: key `card.{key}` of the recipe."

RiskRating = Literal["High", "Medium", "Low", "Unknown"]


class CardSection(Frozen):
    """Goes into the model card as it is; the keys are SageMaker's where it has one."""

    intended_uses: str = Field("", max_length=900, description="what the model may be used for")
    not_intended_uses: str = Field("", max_length=900, description="what it must not be used for")
    business_problem: str = Field("", max_length=2000, description="the problem that it solves")
    contacts: str = Field(
        "", max_length=900, description="who answers for it, and how to reach them"
    )
    risk_rating: RiskRating = Field("Unknown", description="by your own organisation's rules")
    explanations_for_risk_rating: str = Field("", max_length=2000, description="why that rating")

    def said(self, key: str) -> str:
        """Returns what the recipe says, or that it does not."""
        return str(getattr(self, key)).strip() or _UNSTATED.format(key=key)
