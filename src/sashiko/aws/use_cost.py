"""What using an environment costs: one run of its pipeline, and a million predictions."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sashiko.aws.prices import HOURS_A_MONTH, Price, Prices, Speed
from sashiko.definition.model import Definition, Step

_HOUR = 3600
_MONTH_SECONDS = HOURS_A_MONTH * _HOUR
_USABLE = 0.7  # of an instance's full speed: nearer to it requests wait for each other


@dataclass(frozen=True, kw_only=True)
class JobCost:
    """A job of one run.

    Attributes:
        step: its step.
        instance_type: what it runs on.
        count: how many of those.
        limit_seconds: the longest that the definition lets it run.
        typical_seconds: what it is taken to be billed for.
        price: of an instance's hour.
        volume: of a GB of its volume a month.
        volume_gb: the size of each instance's volume.
    """

    step: str
    instance_type: str
    count: int
    limit_seconds: int
    typical_seconds: int
    price: Price
    volume: Price
    volume_gb: int

    @property
    def typical(self) -> float:
        """US dollars for the time that it is taken to last."""
        return self._of(self.typical_seconds)

    @property
    def most(self) -> float:
        """US dollars at its limit; spot instances cost less."""
        return self._of(self.limit_seconds)

    def _of(self, seconds: int) -> float:
        instance = self.price.usd * seconds / _HOUR
        volume = self.volume.usd * self.volume_gb * seconds / _MONTH_SECONDS
        return self.count * (instance + volume)


def run_cost(definition: Definition, prices: Prices) -> tuple[JobCost, ...]:
    """Says what each job of a run costs, were none taken from the cache.

    Raises:
        InputError: if the price of an instance is not known.
    """
    return tuple(_jobs(definition, prices))


def _jobs(definition: Definition, prices: Prices) -> Iterator[JobCost]:
    for step in definition.steps:
        if not step.is_job:
            continue
        cluster = _cluster(step)
        limit = int(step.arguments["StoppingCondition"]["MaxRuntimeInSeconds"])
        yield JobCost(
            step=step.name,
            instance_type=cluster["InstanceType"],
            count=int(cluster["InstanceCount"]),
            limit_seconds=limit,
            typical_seconds=min(prices.typical_job.seconds, limit),
            price=prices.of_instance(cluster["InstanceType"]),
            volume=prices.of("volume_gb_month"),
            volume_gb=int(cluster["VolumeSizeInGB"]),
        )


def _cluster(step: Step) -> Mapping[str, Any]:
    if step.type == "Training":
        found: Mapping[str, Any] = step.arguments["ResourceConfig"]
    else:
        found = step.arguments["ProcessingResources"]["ClusterConfig"]
    return found


@dataclass(frozen=True, kw_only=True)
class PredictionCost:
    """What a million predictions cost at a steady load.

    Attributes:
        target: what the model is compiled for.
        instance_type: what serves it.
        load: predictions a second.
        instances: how many it takes, with room to spare.
        price: of an instance's hour.
        speed: how fast one is, and where that was read or measured.
    """

    target: str
    instance_type: str
    load: float
    instances: int
    price: Price
    speed: Speed

    @property
    def per_million(self) -> float:
        """US dollars for a million predictions."""
        return self.instances * self.price.usd / _HOUR / self.load * 1e6

    @property
    def floor(self) -> float:
        """US dollars for a million at an instance's full speed: no load costs less."""
        return self.price.usd / _HOUR / self.speed.per_second * 1e6


def prediction_costs(
    prices: Prices, *, instance_types: Mapping[str, str], load: float, least: int
) -> tuple[PredictionCost, ...]:
    """Says what a million predictions cost on each target whose speed and price are known.

    Args:
        prices: the prices, and how fast an instance is.
        instance_types: compile target -> what serves it.
        load: predictions a second, all month.
        least: the fewest instances that the endpoint keeps.
    """
    return tuple(
        PredictionCost(
            target=target,
            instance_type=kind,
            load=load,
            instances=max(least, math.ceil(load / (prices.speeds[kind].per_second * _USABLE))),
            price=prices.instances[kind],
            speed=prices.speeds[kind],
        )
        for target, kind in instance_types.items()
        if kind in prices.speeds and kind in prices.instances
    )
