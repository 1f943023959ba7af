"""Checks of quotas and zones for the instances that an environment uses."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from sashiko.account.account import Account
from sashiko.doctor.services import Check
from sashiko.pipeline.definition.definition_records import Definition, Step
from sashiko.pipeline.definition.graph import build_graph
from sashiko.pipeline.definition.job_arguments import cluster_of
from sashiko.settings.environment import Settings, file_of

RECIPE_KEY = "train.distributed.instance_type"
# As the names of SageMaker's quotas have it: "ml.m5.large for processing job usage".
Use = Literal["processing job", "training job", "spot training job", "transform job", "endpoint"]


@dataclass(frozen=True, kw_only=True)
class Needed:
    """Instances that are used concurrently."""

    instance_type: str  # such as `ml.m5.large`
    use: Use  # the kind of job
    count: int  # how many at once, at most
    key: str  # where the settings name the type, or the recipe

    @property
    def quota(self) -> str:
        """The name of SageMaker's quota for it."""
        return f"{self.instance_type} for {self.use} usage"


def needed_machines(settings: Settings, definition: Definition, *, target: str) -> Iterator[Needed]:
    """Yields what a run of the pipeline, its check on a device and the endpoint need."""
    jobs: dict[tuple[str, Use], list[Step]] = {}
    for step in definition.steps:
        if step.is_job:
            kind: Use = "processing job"
            if step.type == "Training":
                spot = step.arguments.get("EnableManagedSpotTraining") is True
                kind = "spot training job" if spot else "training job"
            machine = str(cluster_of(step)["InstanceType"])
            jobs.setdefault((machine, kind), []).append(step)
    for (instance_type, use), steps in sorted(jobs.items()):
        # Exact if the steps have equally many instances, else the most that there can be.
        largest = max(int(cluster_of(step)["InstanceCount"]) for step in steps)
        count = largest * most_at_once(definition, {step.name for step in steps})
        key = _key(settings, instance_type, "training" if "training" in use else "")
        yield Needed(instance_type=instance_type, use=use, count=count, key=key)
    serving, check = settings.serving, settings.device_check
    hosting, key = serving.instance_type(target), f"serving.instance_types.{target}"
    # A deployment starts the new fleet beside the old one.
    fleet = max(2 * serving.min_instances, serving.max_instances) if serving.enabled else 0
    if count := fleet + (check == "endpoint"):
        yield Needed(instance_type=hosting, use="endpoint", count=count, key=key)
    if check == "transform":
        yield Needed(instance_type=hosting, use="transform job", count=1, key=key)


def _key(settings: Settings, instance_type: str, only: str) -> str:
    jobs = settings.jobs.model_dump()
    kinds = [only] if only else [kind for kind in jobs if kind != "training"]
    matches = [kind for kind in kinds if jobs[kind]["instance_type"] == instance_type]
    return ", ".join(f"jobs.{kind}.instance_type" for kind in matches) or RECIPE_KEY


def most_at_once(definition: Definition, names: Iterable[str]) -> int:
    """Returns how many of the named steps can run at the same time, at most.

    By Dilworth's theorem the largest set of independent steps has as many elements as a minimum
    chain cover, which is the number of steps minus a maximum matching of predecessors to
    successors.
    """
    steps = sorted(names)
    graph = build_graph(definition)
    matched: dict[str, str] = {}

    def extend(step: str, seen: set[str]) -> bool:
        for after in graph.downstream(step).intersection(steps) - seen - {step}:
            seen.add(after)
            if after not in matched or extend(matched[after], seen):
                matched[after] = step
                return True
        return False

    return len(steps) - sum(extend(step, set()) for step in steps)


_CAVEAT = "by what EC2 offers, which is only a hint: SageMaker publishes no list"


def check_zones(account: Account, settings: Settings, needed: Sequence[Needed]) -> Iterator[Check]:
    """Asks EC2 which of the environment's zones have the instances; SageMaker has no API for it.

    AWS's guide tells to ask so for training jobs ("Get compute capacity for SageMaker Training
    Jobs"). For processing jobs, transform jobs and endpoints it says nothing.
    """
    names = [f"{settings.region}{letter}" for letter in settings.network.zones]
    file = file_of("network", settings.environment)
    response = account.read("ec2", "describe_availability_zones") or {}
    available = {zone["ZoneName"] for zone in response.get("AvailabilityZones", ())}
    if missing := sorted(set(names) - available):
        detail = f"the account has no {', '.join(missing)}; it has {', '.join(sorted(available))}"
        fix = f"choose others as `network.zones` in {file}"
        yield Check("availability zones", "failed", detail, fix=fix)
        return
    yield Check("availability zones", "ok", ", ".join(names))
    uses: dict[str, set[str]] = {}
    for item in needed:
        uses.setdefault(item.instance_type, set()).add(item.use)
    offers: dict[str, set[str]] = {}
    for offer in account.pages(
        "ec2",
        "describe_instance_type_offerings",
        "InstanceTypeOfferings",
        LocationType="availability-zone",
        Filters=[{"Name": "instance-type", "Values": [kind.removeprefix("ml.") for kind in uses]}],
    ):
        offers.setdefault(f"ml.{offer['InstanceType']}", set()).add(offer["Location"])
    for kind, of_kind in sorted(uses.items()):
        trains = all("training" in use for use in of_kind)
        caveat = "by what EC2 offers" if trains else _CAVEAT
        yield _zones_of(kind, offers.get(kind, set()), names, file=str(file), caveat=caveat)


def _zones_of(
    kind: str, offered: set[str], names: Sequence[str], *, file: str, caveat: str
) -> Check:
    name, matching = f"{kind} by zone", [zone for zone in names if zone in offered]
    everywhere = ", ".join(sorted(offered)) or "no zone"
    if len(matching) == len(names):
        return Check(name, "ok", f"in {', '.join(matching)}, {caveat}")
    if matching:
        detail = f"only in {', '.join(matching)} of {', '.join(names)}, {caveat}"
        return Check(name, "note", detail)
    detail = f"in none of {', '.join(names)}, {caveat}; the region has it in {everywhere}"
    fix = f"add the letter of such a zone to `network.zones` in {file}, or choose another type"
    return Check(name, "failed", detail, fix=fix)


def check_quotas(account: Account, settings: Settings, needed: Sequence[Needed]) -> Iterator[Check]:
    """Compares the account's quotas with the concurrent use; in new accounts they are often 0."""
    applied = _quotas(account, "list_service_quotas")
    # Until they are requested, AWS lists some quotas only among the defaults.
    defaults: Mapping[str, Mapping[str, Any]] = {}
    if any(item.quota not in applied for item in needed):
        defaults = _quotas(account, "list_aws_default_service_quotas")
    for item in needed:
        yield _quota(settings, item, applied.get(item.quota) or defaults.get(item.quota))


def _quotas(account: Account, operation: str) -> Mapping[str, Mapping[str, Any]]:
    quotas = account.pages(
        "service-quotas", operation, "Quotas", ServiceCode="sagemaker", MaxResults=100
    )
    return {item["QuotaName"]: item for item in quotas}


def _quota(settings: Settings, item: Needed, quota: Mapping[str, Any] | None) -> Check:
    name = f"quota: {item.quota}"
    if quota is None:
        section = item.key.split(".")[0]
        file = file_of(section, settings.environment) if item.key != RECIPE_KEY else "the recipe"
        detail = f"SageMaker has no such quota in {settings.region}: it does not offer the type "
        fix = f"choose another type as `{item.key}` in {file}"
        return Check(name, "failed", f"{detail}there for this", fix=fix)
    value = float(quota["Value"])
    detail = f"{value:g}, up to {item.count} are used at once"
    if value >= item.count:
        return Check(name, "ok", detail)
    return Check(
        name,
        "failed",
        detail,
        fix="aws service-quotas request-service-quota-increase --service-code sagemaker "
        f"--quota-code {quota['QuotaCode']} --desired-value {item.count} "
        f"--region {settings.region}",
    )
