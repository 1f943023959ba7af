"""Checks of the instance types themselves: what EC2 says of them, held against what is recorded."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sashiko.account.account import Account
from sashiko.account.instances import has_local_disk, size_of
from sashiko.doctor.check import Check
from sashiko.doctor.needed_machines import Needed
from sashiko.settings.environment import Settings, file_of

_FACTS_FILE = "src/sashiko/account/instances.yaml"


@dataclass(frozen=True, kw_only=True)
class Described:
    """An instance type as EC2 describes it in the region."""

    vcpus: int
    accelerators: Mapping[str, int]  # maker and name -> how many
    local_disk: bool
    efa: bool
    spot: bool  # whether EC2 offers it as a spot instance

    def __str__(self) -> str:
        """Returns it in words."""
        parts = [f"{self.vcpus} vCPUs"]
        parts += [f"{count} x {name}" for name, count in self.accelerators.items()]
        parts.append("local disk" if self.local_disk else "no local disk")
        parts.append("EFA" if self.efa else "no EFA")
        return ", ".join(parts)


def check_types(account: Account, settings: Settings, needed: Sequence[Needed]) -> Iterator[Check]:
    """Checks each type that jobs and the endpoint use by EC2's DescribeInstanceTypes.

    SageMaker's types are EC2's with the prefix `ml.` ("Get compute capacity for SageMaker Training
    Jobs", Amazon SageMaker AI Developer Guide), and managed spot training uses EC2's spot capacity.
    """
    uses: dict[str, list[Needed]] = {}
    for item in needed:
        uses.setdefault(item.instance_type, []).append(item)
    names = sorted(kind.removeprefix("ml.") for kind in uses)
    pages = account.pages(
        "ec2",
        "describe_instance_types",
        "InstanceTypes",
        Filters=[{"Name": "instance-type", "Values": names}],
    )
    described = {f"ml.{item['InstanceType']}": _described(item) for item in pages}
    for kind, items in sorted(uses.items()):
        yield _check(settings, kind, described.get(kind), items)


def _described(item: Mapping[str, Any]) -> Described:
    groups = (
        item.get("GpuInfo", {}).get("Gpus", ()),
        item.get("NeuronInfo", {}).get("NeuronDevices", ()),
    )
    accelerators = {
        f"{device.get('Manufacturer', 'AWS')} {device['Name']}": int(device["Count"])
        for group in groups
        for device in group
    }
    return Described(
        vcpus=int(item["VCpuInfo"]["DefaultVCpus"]),
        accelerators=accelerators,
        local_disk=bool(item["InstanceStorageSupported"]),
        efa=bool(item["NetworkInfo"]["EfaSupported"]),
        spot="spot" in item["SupportedUsageClasses"],
    )


def _check(
    settings: Settings, kind: str, described: Described | None, items: Sequence[Needed]
) -> Check:
    if described is None:
        detail = f"unknown: EC2 describes no {kind.removeprefix('ml.')} in {settings.region}"
        return Check(name=kind, status="unknown", detail=detail)
    detail = str(described)
    jobs = [item for item in items if item.use in ("processing job", "training job")]
    spot = [item for item in items if item.use == "spot training job"]
    if (jobs or spot) and described.local_disk != has_local_disk(kind):
        return Check(
            name=kind,
            status="failed",
            detail=f"{detail}; {_FACTS_FILE} has the opposite of its local disk, which decides "
            "whether SageMaker takes a volume key",
            fix=f"correct `local_disk` of {kind.split('.')[1]} in {_FACTS_FILE}",
        )
    if spot and not described.spot:
        return Check(
            name=kind,
            status="failed",
            detail=f"{detail}; EC2 offers no spot capacity of it in {settings.region}",
            fix=f"jobs: {{training: {{spot: null}}}} in {file_of('jobs', settings.environment)}",
        )
    if (jobs or spot) and settings.threads > described.vcpus:
        return Check(
            name=kind,
            status="note",
            detail=f"{detail}; `threads` is {settings.threads}, more than it has",
            fix=f"threads: {described.vcpus} in {file_of('threads', settings.environment)}",
        )
    if changes := _changes(kind, described):
        detail = f"{detail}; {_FACTS_FILE} differs: {', '.join(changes)}"
        return Check(name=kind, status="note", detail=detail, fix=f"correct {_FACTS_FILE}")
    return Check(name=kind, status="ok", detail=detail)


def _changes(kind: str, described: Described) -> list[str]:
    recorded = size_of(kind)
    if recorded is None:
        return []
    pairs = {
        "vcpus": (recorded.vcpus, described.vcpus),
        "accelerators": (recorded.accelerators, sum(described.accelerators.values())),
        "efa": (recorded.efa, described.efa),
    }
    return [f"{name}: {ours}" for name, (ours, theirs) in pairs.items() if ours != theirs]
