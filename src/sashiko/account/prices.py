"""AWS prices from a dated file, which a file of your own may override."""

import datetime as dt
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

from pydantic import Field

from sashiko.base.yaml_models import Frozen, read_yaml, validate
from sashiko.errors import InputError
from sashiko.settings.environment import Settings

PRICE_FILE = Path(__file__).with_name("prices.yaml")
HOURS_A_MONTH = 730  # as AWS's own calculator counts
_STALE_DAYS = 180
_KEYS = f"its keys are those of src/sashiko/account/{PRICE_FILE.name}"
_OWN_FILE = f"your own file and pass it as --prices FILE ({_KEYS})"

PriceName = Literal[
    "alarm_metric_month",
    "dashboard_month",
    "fast_alarm_metric_month",
    "interface_endpoint_hour",
    "kms_key_month",
    "pipeline_action_minute",
    "s3_reads_1000",
    "s3_writes_1000",
    "volume_gb_month",
]


class Price(Frozen):
    """One price."""

    usd: float = Field(ge=0)  # US dollars for one unit
    source: str = Field(min_length=1)  # where it was read
    read: dt.date  # when
    weak: bool = False  # whether the source is not AWS's own


class TokenPrice(Frozen):
    """The price of a model of Amazon Bedrock, on demand."""

    input_usd: float = Field(ge=0)  # US dollars for a million input tokens
    output_usd: float = Field(ge=0)  # US dollars for a million output tokens
    region: str | None = None  # that is called; None: the file's own
    source: str = Field(min_length=1)  # where it was read
    read: dt.date  # when
    weak: bool = False  # whether the source is not AWS's own


class TypicalJob(Frozen):
    """The assumed billed time of a job of a run."""

    seconds: int = Field(gt=0)  # from its start until it ends, the instance's start-up included
    source: str  # why that many


class Speed(Frozen):
    """The maximum throughput of an instance of an endpoint."""

    per_second: float = Field(gt=0)  # predictions a second at full load
    what: str  # the model, the batch, and what was left out
    source: str  # where it was read or measured
    read: dt.date  # when


class Prices(Frozen):
    """The prices of one region; a file of your own contains only its changes."""

    region: str
    # Name -> price; the name says the unit.
    prices: dict[PriceName, Price] = Field(default_factory=dict)
    # Type of machine, such as `ml.m5.large` or Glue's `G.1X` -> price of an hour.
    instances: dict[str, Price] = Field(default_factory=dict)
    # Model id of Amazon Bedrock, as Converse takes it -> price of its tokens.
    tokens: dict[str, TokenPrice] = Field(default_factory=dict)
    typical_job: TypicalJob  # the assumed length of a job
    # SageMaker's instance type -> how fast it serves.
    speeds: dict[str, Speed] = Field(default_factory=dict)

    def of(self, name: PriceName) -> Price:
        """Returns a price; InputError if the file has none."""
        if name not in self.prices:
            key = f"prices.{name}"
            raise InputError(
                f"no price is known for `{key}` in {self.region}: give `{key}` its usd, source and "
                f"read in {_OWN_FILE}; unknown prices are never counted as zero"
            )
        return self.prices[name]

    def of_tokens(self, model: str, *, region: str) -> TokenPrice | None:
        """Returns the price of a model's tokens in the Region that is called; None if unknown."""
        price = self.tokens.get(model)
        return price if price and region == (price.region or self.region) else None

    def no_price_of(self, kind: str) -> str:
        """Says that the price of an hour of an instance, such as `ml.m5.large`, is not known."""
        return (
            f"no price of {kind} is known in {self.region}: give `instances.{kind}` in your own "
            "file, as --prices FILE"
        )


def read_prices(settings: Settings, *, own: Path | None = None) -> Prices:
    """Reads the prices of an environment's region.

    The file `own` overrides the default one; for another region only the times and speeds of the
    default file apply. InputError if a file is invalid, or the prices are of another region.
    """
    default = validate(Prices, read_yaml(PRICE_FILE), source=PRICE_FILE.name)
    override = default
    if own:
        values = {"typical_job": default.typical_job, **read_yaml(own)}
        override = validate(Prices, values, source=str(own))
    if override.region != settings.region:
        raise InputError(
            f"the prices are for {override.region}, but {settings.environment} is in "
            f"{settings.region}: pass a file with `region: {settings.region}` and the prices "
            f"there as --prices FILE ({_KEYS})"
        )
    merged: dict[str, object] = {"speeds": default.speeds | override.speeds}
    if override.region == default.region:
        merged |= {
            "prices": default.prices | override.prices,
            "instances": default.instances | override.instances,
            "tokens": default.tokens | override.tokens,
        }
    return override.model_copy(update=merged)


def total(amounts: Iterable[float | None]) -> float | None:
    """Returns the sum of dollars, or None if an amount is unknown: unknown is never zero."""
    known = list(amounts)
    return None if None in known else sum(amount for amount in known if amount is not None)


def stale(used: Iterable[Price], *, today: dt.date) -> list[Price]:
    """Returns the prices that were read more than 180 days ago, the oldest first."""
    old = {price for price in used if (today - price.read).days > _STALE_DAYS}
    return sorted(old, key=lambda price: (price.read, price.source))
