"""Waivers of failed checks, with an owner and an expiry date."""

from datetime import date

from pydantic import Field

from sashiko.base.yaml_models import Frozen


class Waiver(Frozen):
    """Lets a run continue after a failed check of a model gate; the verdict stays failed.

    The model gates are model-quality, bias and device. Data checks cannot be waived: change the
    contract.
    """

    check: str = Field(
        min_length=1, description="the failed check's name, such as `DI customer_gender=female`"
    )
    reason: str = Field(
        min_length=10, max_length=200, description="the reason; recorded with the model"
    )
    owner: str = Field(min_length=2, max_length=60, description="the person responsible")
    expires: date = Field(description="the last day on which it is valid, such as 2027-03-31 (UTC)")
