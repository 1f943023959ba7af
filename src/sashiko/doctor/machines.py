"""Checks of quotas and zones for the instances that an environment uses."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from sashiko.account.account import Account
from sashiko.doctor.check_result import Check
from sashiko.doctor.needed_machines import RECIPE_KEY, Needed
from sashiko.settings.environment import Settings, file_of

_CAVEAT = "by what EC2 offers, which is a hint: SageMaker does not say"


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
        yield Check(
            name="availability zones",
            status="failed",
            detail=f"the account has no {', '.join(missing)}; it has "
            f"{', '.join(sorted(available))}",
            fix=f"choose others as `network.zones` in {file}",
        )
        return
    yield Check(name="availability zones", status="ok", detail=", ".join(names))
    uses: dict[str, set[str]] = {}
    for item in needed:
        uses.setdefault(item.instance_type, set()).add(item.use)
    offers = _offers(account, sorted(uses))
    for kind, of_kind in sorted(uses.items()):
        trains = all("training" in use for use in of_kind)
        caveat = "by what EC2 offers" if trains else _CAVEAT
        yield _zones_of(kind, offers.get(kind, set()), names, file=str(file), caveat=caveat)


def _offers(account: Account, kinds: Iterable[str]) -> Mapping[str, set[str]]:
    offers: dict[str, set[str]] = {}
    for item in account.pages(
        "ec2",
        "describe_instance_type_offerings",
        "InstanceTypeOfferings",
        LocationType="availability-zone",
        Filters=[{"Name": "instance-type", "Values": [kind.removeprefix("ml.") for kind in kinds]}],
    ):
        offers.setdefault(f"ml.{item['InstanceType']}", set()).add(item["Location"])
    return offers


def _zones_of(
    kind: str, offered: set[str], names: Sequence[str], *, file: str, caveat: str
) -> Check:
    name, matching = f"{kind} by zone", [zone for zone in names if zone in offered]
    everywhere = ", ".join(sorted(offered)) or "no zone"
    if len(matching) == len(names):
        return Check(name=name, status="ok", detail=f"in {', '.join(matching)}, {caveat}")
    if matching:
        detail = f"in {', '.join(matching)} alone of {', '.join(names)}, {caveat}"
        return Check(name=name, status="note", detail=detail)
    return Check(
        name=name,
        status="failed",
        detail=f"in none of {', '.join(names)}, {caveat}; the region has it in {everywhere}",
        fix=f"add the letter of such a zone to `network.zones` in {file}, or choose another type",
    )


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
        location = f"`{item.key}` in {file}"
        return Check(
            name=name,
            status="failed",
            detail=f"SageMaker has no such quota in {settings.region}: it does not offer the type "
            "there for this",
            fix=f"choose another type as {location}",
        )
    value = float(quota["Value"])
    if value >= item.count:
        return Check(name=name, status="ok", detail=f"{value:g}, {item.count} at once are used")
    return Check(
        name=name,
        status="failed",
        detail=f"{value:g}, {item.count} at once are used",
        fix="aws service-quotas request-service-quota-increase --service-code sagemaker "
        f"--quota-code {quota['QuotaCode']} --desired-value {item.count} "
        f"--region {settings.region}",
    )
