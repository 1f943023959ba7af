"""A waiver: somebody answers for a failed check, until a day."""

from datetime import date

from pydantic import Field

from sashiko.core.yaml_models import Frozen


class Waiver(Frozen):
    """Lets a run go on though a check of a model gate failed; the verdict stays failed.

    The gates are model-quality, bias and device. Data are not waived: change the contract.
    """

    check: str = Field(
        min_length=1, description="the failed check's name, such as `DI customer_gender=female`"
    )
    reason: str = Field(min_length=10, max_length=200, description="why; kept with the model")
    owner: str = Field(min_length=2, max_length=60, description="who answers for it")
    expires: date = Field(description="the last day on which it holds, such as 2027-03-31 (UTC)")
