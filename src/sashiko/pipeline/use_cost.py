"""The cost of using an environment: one run of its pipeline, and a million predictions."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

from sashiko.account.instances import has_local_disk
from sashiko.account.prices import HOURS_A_MONTH, Price, Prices, Speed
from sashiko.account.templates import Templates
from sashiko.pipeline.definition.definition_records import Definition
from sashiko.pipeline.definition.job_arguments import cluster_of, machine_types

_HOUR = 3600
_MINUTE = 60
_DEVICE_CHECK = "DeviceCheck"
# Minutes: the services' own limits where a template sets none.
_LONGEST_LOAD = 480
_LONGEST_BUILD = 60
# Hours that an instance is paid for when one request wakes it: ten minutes until it answers, 15 of
# the alarm that scales in (periods of a minute, "Target tracking scaling policies", Application
# Auto Scaling User Guide), and five until it is gone. An assumption; nobody has measured it here.
WAKE_HOURS = 0.5
_USABLE = 0.7  # of an instance's full speed: above it, requests queue up


@dataclass(frozen=True, kw_only=True)
class JobCost:
    """The cost of a job: a step's job, a load, the build of an image."""

    name: str  # the step, or the job's own name
    machines: str  # what it runs on, in words
    limit_seconds: int  # its time limit
    typical_seconds: int  # its assumed billed time
    hourly: float | None  # dollars an hour; None if that is unknown
    prices: tuple[Price, ...]  # the prices of `hourly`
    unknown: str = ""  # why `hourly` is unknown

    @property
    def typical(self) -> float | None:
        """US dollars for its assumed time; None if that is unknown."""
        return None if self.hourly is None else self.hourly * self.typical_seconds / _HOUR

    @property
    def most(self) -> float | None:
        """US dollars at its limit, None if that is unknown; spot instances cost less."""
        return None if self.hourly is None else self.hourly * self.limit_seconds / _HOUR


def run_cost(definition: Definition, prices: Prices, *, device: str | None) -> tuple[JobCost, ...]:
    """Returns the cost of each job of a run without the cache.

    `device` is the instance type that DeviceCheck starts for as long as it runs; None for none.

    Raises:
        InputError: if the price of volumes is not known.
    """
    jobs = []
    for step in (step for step in definition.steps if step.is_job):
        cluster = cluster_of(step)
        kinds, count = machine_types(cluster), int(cluster["InstanceCount"])
        limit = int(step.arguments["StoppingCondition"]["MaxRuntimeInSeconds"])
        each = [_other(step.name, count, kind, limit=limit, prices=prices) for kind in kinds]
        # Of several types the dearest, or one whose price is unknown.
        job = max(each, key=lambda job: math.inf if job.hourly is None else job.hourly)
        job, kind = replace(job, machines=f"{count} x {' or '.join(kinds)}"), kinds[0]
        if plan := cluster.get("TrainingPlanArn"):
            job = replace(job, hourly=None, prices=(), unknown=f"paid upfront with the plan {plan}")
        elif not has_local_disk(kind) and job.hourly is not None:
            volume = prices.of("volume_gb_month")
            hourly = count * volume.usd * int(cluster["VolumeSizeInGB"]) / HOURS_A_MONTH
            job = replace(job, hourly=job.hourly + hourly, prices=(*job.prices, volume))
        jobs.append(job)
        if waiting := cluster.get("KeepAlivePeriodInSeconds"):
            name, times = f"{step.name}'s warm pool", int(waiting)
            jobs.append(replace(job, name=name, limit_seconds=times, typical_seconds=times))
    for job in [job for job in jobs if job.name == _DEVICE_CHECK and device]:
        name, limit = f"{job.name}'s machine", job.limit_seconds
        jobs.append(_other(name, 1, str(device), limit=limit, prices=prices))
    return tuple(jobs)


def other_jobs(templates: Templates, prices: Prices) -> tuple[JobCost, ...]:
    """Returns the cost of the lake's loads, and of the image builds that a deploy starts."""
    jobs = []
    for load in (resource.properties for resource in templates.of_type("AWS::Glue::Job")):
        count, kind = int(load["NumberOfWorkers"]), str(load["WorkerType"])
        limit = int(load.get("Timeout", _LONGEST_LOAD)) * _MINUTE
        jobs.append(_other(f"load {load['Name']}", count, kind, limit=limit, prices=prices))
    for build in (item.properties for item in templates.of_type("AWS::CodeBuild::Project")):
        kind = str(build["Environment"]["ComputeType"])
        limit = int(build.get("TimeoutInMinutes", _LONGEST_BUILD)) * _MINUTE
        job = _other(f"build {build['Name']}", 1, kind, limit=limit, prices=prices)
        if build["Source"]["Type"] == "CODEPIPELINE" and job.hourly is not None:
            price = prices.of("pipeline_action_minute")  # CodePipeline's, of its action
            hourly = job.hourly + price.usd * _HOUR / _MINUTE
            job = replace(job, hourly=hourly, prices=(*job.prices, price))
        jobs.append(job)
    return tuple(jobs)


def _other(name: str, count: int, kind: str, *, limit: int, prices: Prices) -> JobCost:
    price = prices.instances.get(kind)
    return JobCost(
        name=name,
        machines=f"{count} x {kind}",
        limit_seconds=limit,
        typical_seconds=min(prices.typical_job.seconds, limit),
        hourly=count * price.usd if price else None,
        prices=(price,) if price else (),
        unknown="" if price else prices.no_price_of(kind),
    )


@dataclass(frozen=True, kw_only=True)
class PredictionCost:
    """What a million predictions cost at a steady load."""

    target: str  # what the model is compiled for
    instance_type: str
    load: float  # predictions a second
    instances: int  # the number of instances, with headroom
    least: int  # how many an idle endpoint keeps
    price: Price  # of an instance's hour
    speed: Speed  # the throughput of one instance, with its source

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
    """Returns the cost of a million predictions on each target with a known speed and price.

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
            instances=max(least, _needed(load, prices.speeds[kind])),
            least=least,
            price=prices.instances[kind],
            speed=prices.speeds[kind],
        )
        for target, kind in instance_types.items()
        if kind in prices.speeds and kind in prices.instances
    )


@dataclass(frozen=True, kw_only=True)
class ModeCosts:
    """What a target costs in each mode of an endpoint, by US dollars."""

    at_load: PredictionCost  # of an endpoint that does not sleep
    load_instances: int  # that the load alone needs, of an endpoint that sleeps between
    writes: Price  # of 1,000 objects: a request and its answer are one each
    reads: Price

    @property
    def real_time_idle(self) -> float:
        """A month of an endpoint that nobody asks."""
        return self.at_load.least * HOURS_A_MONTH * self.at_load.price.usd

    @property
    def objects(self) -> float:
        """The objects of one asynchronous request: both are written and read once."""
        return 2 * (self.writes.usd + self.reads.usd) / 1000

    @property
    def asynchronous_per_million(self) -> float:
        """A million predictions at the load, one a request, which keeps it awake."""
        requests = self.at_load.load * HOURS_A_MONTH * _HOUR
        hours = min(HOURS_A_MONTH, requests * WAKE_HOURS)
        awake = hours * self.load_instances * self.at_load.price.usd
        return (awake + requests * self.objects) / requests * 1e6

    @property
    def crossing(self) -> float:
        """Requests a month, evenly spread, from which on an endpoint that sleeps costs more.

        Requests that come together wake it once: then they are as one, but for their objects.
        """
        waking = self.real_time_idle / (WAKE_HOURS * self.at_load.price.usd + self.objects)
        if waking <= HOURS_A_MONTH / WAKE_HOURS:
            return waking
        awake = HOURS_A_MONTH * self.at_load.price.usd
        return (self.real_time_idle - awake) / self.objects


def mode_costs(cost: PredictionCost, prices: Prices) -> ModeCosts:
    """Returns what a target costs in each mode.

    Raises:
        InputError: if the price of S3's requests is not known.
    """
    return ModeCosts(
        at_load=cost,
        load_instances=_needed(cost.load, cost.speed),
        writes=prices.of("s3_writes_1000"),
        reads=prices.of("s3_reads_1000"),
    )


def _needed(load: float, speed: Speed) -> int:
    return math.ceil(load / (speed.per_second * _USABLE))
