"""The recipe's `card`: statements about a model that only a person can make."""

from typing import Literal

from pydantic import Field

from sashiko.base.yaml_models import Frozen

_UNSTATED = "Not stated: key `card.{key}` of the recipe."

RiskRating = Literal["High", "Medium", "Low", "Unknown"]


class CardSection(Frozen):
    """Texts that are copied into the model card; keys follow SageMaker where it has them."""

    intended_uses: str = Field("", max_length=900, description="what the model may be used for")
    not_intended_uses: str = Field("", max_length=900, description="what it must not be used for")
    business_problem: str = Field("", max_length=2000, description="the problem that it solves")
    contacts: str = Field(
        "", max_length=900, description="the people responsible for it, and how to reach them"
    )
    risk_rating: RiskRating = Field("Unknown", description="by your organisation's rules")
    explanations_for_risk_rating: str = Field(
        "", max_length=2000, description="the reason for that rating"
    )

    def text(self, key: str) -> str:
        """Returns the recipe's text for a key, or that it is not stated."""
        return str(getattr(self, key)).strip() or _UNSTATED.format(key=key)
