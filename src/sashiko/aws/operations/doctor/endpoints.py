"""Checks that each of the environment's zones supports the interface endpoints."""

from collections.abc import Iterator, Sequence

from sashiko.aws.operations.access.environment import Environment
from sashiko.aws.operations.doctor.check import Check
from sashiko.aws.resources.account import Account
from sashiko.settings.environment import Settings, file_of


def _without(unknown: Sequence[str], settings: Settings) -> str:
    mlflow = (settings.network.mlflow_service or "").replace("{region}", settings.region)
    if list(unknown) == [mlflow]:
        return (
            f"network: {{mlflow_service: null}} in {file_of('network', settings.environment)}: "
            "runs are then not tracked, and go on"
        )
    return "leave it out of src/sashiko_cdk/network/vpc_endpoints.py, with the steps that call it"


def check_endpoints(account: Account, environment: Environment) -> Iterator[Check]:
    """Asks EC2 for the zones of each endpoint service of the templates.

    A zone's letter means a different zone in each account, so a static list cannot help
    ("Availability Zone IDs for your AWS resources" of the AWS RAM User Guide;
    DescribeVpcEndpointServices).
    """
    settings = environment.settings
    file = file_of("network", settings.environment)
    services = sorted(
        {
            item.properties["ServiceName"]
            for item in environment.templates.of_type("AWS::EC2::VPCEndpoint")
            if item.properties.get("VpcEndpointType") == "Interface"
        }
    )
    details = account.pages("ec2", "describe_vpc_endpoint_services", "ServiceDetails")
    available_zones = {item["ServiceName"]: set(item["AvailabilityZones"]) for item in details}
    if unknown := [name for name in services if name not in available_zones]:
        yield Check(
            name="endpoint services",
            status="failed",
            detail=f"EC2 lists no {', '.join(unknown)} in {settings.region}: the Network stack "
            "would fail",
            fix=_without(unknown, settings),
        )
        return
    zones = {f"{settings.region}{letter}" for letter in settings.network.zones}
    missing = {
        name: absent for name in services if (absent := sorted(zones - available_zones[name]))
    }
    if not missing:
        detail = f"all {len(services)} in {', '.join(sorted(zones))}"
        yield Check(name="endpoint services", status="ok", detail=detail)
        return
    common = set.intersection(*(available_zones[name] for name in services))
    letters = ", ".join(sorted(zone.removeprefix(settings.region) for zone in common))
    summary = "; ".join(f"{name} is not in {', '.join(absent)}" for name, absent in missing.items())
    yield Check(
        name="endpoint services",
        status="failed",
        detail=summary,
        fix=f"choose zones that have all of them as `network.zones` in {file}: "
        f"{letters or 'none has; leave one service out'}",
    )
