"""What using an environment costs: one run of its pipeline, and a million predictions."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sashiko.aws.operations.cost.prices import HOURS_A_MONTH, Price, Prices, Speed
from sashiko.aws.operations.templates import Templates
from sashiko.pipeline.definition.model import Definition, Step

_HOUR = 3600
_MINUTE = 60
_DEVICE_CHECK = "DeviceCheck"
# Minutes: the services' own limits where a template sets none.
_LONGEST_LOAD = 480
_LONGEST_BUILD = 60
_USABLE = 0.7  # of an instance's full speed: nearer to it requests wait for each other


@dataclass(frozen=True, kw_only=True)
class JobCost:
    """Something that runs and ends: a step's job, a load, the build of an image.

    Attributes:
        name: the step, or the job's own name.
        machines: what it runs on, in words.
        limit_seconds: the longest that it may run.
        typical_seconds: what it is taken to be billed for.
        hourly: dollars an hour.
        prices: what that was worked out with.
    """

    name: str
    machines: str
    limit_seconds: int
    typical_seconds: int
    hourly: float
    prices: tuple[Price, ...]

    @property
    def typical(self) -> float:
        """US dollars for the time that it is taken to last."""
        return self.hourly * self.typical_seconds / _HOUR

    @property
    def most(self) -> float:
        """US dollars at its limit; spot instances cost less."""
        return self.hourly * self.limit_seconds / _HOUR


def run_cost(definition: Definition, prices: Prices, *, device: str | None) -> tuple[JobCost, ...]:
    """Says what each job of a run costs, were none taken from the cache.

    Args:
        definition: the pipeline.
        prices: the prices.
        device: the instance type that DeviceCheck starts for as long as it runs; None for none.

    Raises:
        InputError: if the price of an instance is not known.
    """
    jobs = [_step(step, prices) for step in definition.steps if step.is_job]
    for job in [job for job in jobs if job.name == _DEVICE_CHECK and device]:
        name, limit = f"{job.name}'s machine", job.limit_seconds
        jobs.append(_other(name, 1, str(device), limit=limit, prices=prices))
    return tuple(jobs)


def _step(step: Step, prices: Prices) -> JobCost:
    cluster = _cluster(step)
    kind, count = cluster["InstanceType"], int(cluster["InstanceCount"])
    instance, volume = prices.of_instance(kind), prices.of("volume_gb_month")
    a_volume = volume.usd * int(cluster["VolumeSizeInGB"]) / HOURS_A_MONTH
    limit = int(step.arguments["StoppingCondition"]["MaxRuntimeInSeconds"])
    return JobCost(
        name=step.name,
        machines=f"{count} x {kind}",
        limit_seconds=limit,
        typical_seconds=min(prices.typical_job.seconds, limit),
        hourly=count * (instance.usd + a_volume),
        prices=(instance, volume),
    )


def other_jobs(templates: Templates, prices: Prices) -> tuple[JobCost, ...]:
    """Says what the loads of the lake cost, and the builds of images that a deploy starts.

    Raises:
        InputError: if a price is not known.
    """
    return (*_loads(templates, prices), *_builds(templates, prices))


def _loads(templates: Templates, prices: Prices) -> Iterator[JobCost]:
    for job in templates.of_type("AWS::Glue::Job"):
        given = job.properties
        count, kind = int(given["NumberOfWorkers"]), str(given["WorkerType"])
        limit = int(given.get("Timeout", _LONGEST_LOAD)) * _MINUTE
        yield _other(f"load {given['Name']}", count, kind, limit=limit, prices=prices)


def _builds(templates: Templates, prices: Prices) -> Iterator[JobCost]:
    for project in templates.of_type("AWS::CodeBuild::Project"):
        given = project.properties
        kind = str(given["Environment"]["ComputeType"])
        limit = given.get("TimeoutInMinutes", _LONGEST_BUILD)
        name = f"build {given['Name']}"
        yield _other(name, 1, kind, limit=int(limit) * _MINUTE, prices=prices)


def _other(name: str, count: int, kind: str, *, limit: int, prices: Prices) -> JobCost:
    price = prices.of_instance(kind)
    return JobCost(
        name=name,
        machines=f"{count} x {kind}",
        limit_seconds=limit,
        typical_seconds=min(prices.typical_job.seconds, limit),
        hourly=count * price.usd,
        prices=(price,),
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
