"""What AWS asks for, from a dated file that an environment may lay its own over."""

import datetime as dt
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NoReturn

from pydantic import Field

from sashiko.core.yaml_models import Frozen, read_yaml, validate
from sashiko.errors import InputError
from sashiko.settings.environment import Settings

PRICE_FILE = Path(__file__).with_name("prices.yaml")
HOURS_A_MONTH = 730  # as AWS's own calculator counts
_STALE_DAYS = 180

PriceName = Literal[
    "alarm_metric_month",
    "dashboard_month",
    "fast_alarm_metric_month",
    "interface_endpoint_hour",
    "kms_key_month",
    "volume_gb_month",
]


class Price(Frozen):
    """One price.

    Attributes:
        usd: US dollars for one unit.
        source: where it was read.
        read: when.
        weak: whether the source is not AWS's own.
    """

    usd: float = Field(ge=0)
    source: str = Field(min_length=1)
    read: dt.date
    weak: bool = False


class TypicalJob(Frozen):
    """What a job of a run is taken to be billed for.

    Attributes:
        seconds: from its start until it ends, the instance's start-up included.
        source: why that many.
    """

    seconds: int = Field(gt=0)
    source: str


class Speed(Frozen):
    """How many predictions an instance of an endpoint makes at most.

    Attributes:
        per_second: predictions a second at full load.
        what: the model, the batch, and what was left out.
        source: where it was read or measured.
        read: when.
    """

    per_second: float = Field(gt=0)
    what: str
    source: str
    read: dt.date


class PriceFile(Frozen):
    """A file of prices; one of your own has what it changes.

    Attributes:
        region: the region that the prices are of.
        prices: name -> price; the name says the unit.
        instances: type of machine, such as `ml.m5.large` or Glue's `G.1X` -> price of an hour.
        typical_job: how long a job is taken to last.
        speeds: SageMaker's instance type -> how fast it serves.
    """

    region: str
    prices: dict[PriceName, Price] = Field(default_factory=dict)
    instances: dict[str, Price] = Field(default_factory=dict)
    typical_job: TypicalJob | None = None
    speeds: dict[str, Speed] = Field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Prices:
    """The prices of one region; attributes as in `PriceFile`."""

    region: str
    prices: Mapping[PriceName, Price]
    instances: Mapping[str, Price]
    typical_job: TypicalJob
    speeds: Mapping[str, Speed]

    def of(self, name: PriceName) -> Price:
        """Returns a price.

        Raises:
            InputError: if the file has none.
        """
        return self.prices.get(name) or self._lacking(f"prices.{name}")

    def of_instance(self, kind: str) -> Price:
        """Returns the price of an hour of an instance, such as `ml.m5.large`.

        Raises:
            InputError: if the file has none.
        """
        return self.instances.get(kind) or self._lacking(f"instances.{kind}")

    def _lacking(self, key: str) -> NoReturn:
        raise InputError(
            f"no price is known for `{key}` in {self.region}: give `{key}` its usd, source and "
            "read in a file of your own and pass that as --prices FILE (its keys are those of "
            f"src/sashiko/aws/operations/cost/{PRICE_FILE.name}); what is not known is not counted "
            "as nothing"
        )


def read_prices(settings: Settings, *, own: Path | None = None) -> Prices:
    """Reads the prices of an environment's region.

    Args:
        settings: the environment.
        own: a file that is laid over ours where it is of the same region; of ours it leaves the
            times and speeds alone where it is of another one.

    Raises:
        InputError: if a file is wrong, or the prices are another region's.
    """
    ours = validate(PriceFile, read_yaml(PRICE_FILE), source=PRICE_FILE.name)
    yours = validate(PriceFile, read_yaml(own), source=str(own)) if own else ours
    same = yours.region == ours.region
    if yours.region != settings.region:
        raise InputError(
            f"the prices are {yours.region}'s, and {settings.environment} is in "
            f"{settings.region}: pass a file with `region: {settings.region}` and the prices there "
            "as --prices FILE (its keys are those of "
            f"src/sashiko/aws/operations/cost/{PRICE_FILE.name})"
        )
    typical = yours.typical_job or ours.typical_job
    if typical is None:
        raise InputError(f"{PRICE_FILE.name}: key `typical_job` is missing")
    return Prices(
        region=yours.region,
        prices={**(ours.prices if same else {}), **yours.prices},
        instances={**(ours.instances if same else {}), **yours.instances},
        typical_job=typical,
        speeds={**ours.speeds, **yours.speeds},
    )


def stale(used: Iterable[Price], *, today: dt.date) -> list[Price]:
    """Returns the prices that were read more than 180 days ago, the oldest first."""
    old = {price for price in used if (today - price.read).days > _STALE_DAYS}
    return sorted(old, key=lambda price: (price.read, price.source))
