"""Whether the interface endpoints can stand in the environment's zones: not each zone has all."""

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
    """Asks EC2 in which zones each endpoint service of the templates is.

    A zone's letter is another zone in each account, so no list of ours could say ("Availability
    Zone IDs for your AWS resources" of the AWS RAM User Guide; DescribeVpcEndpointServices).
    """
    settings = environment.settings
    file = file_of("network", settings.environment)
    wanted = sorted(
        {
            item.properties["ServiceName"]
            for item in environment.templates.of_type("AWS::EC2::VPCEndpoint")
            if item.properties.get("VpcEndpointType") == "Interface"
        }
    )
    listed = account.pages("ec2", "describe_vpc_endpoint_services", "ServiceDetails")
    found = {item["ServiceName"]: set(item["AvailabilityZones"]) for item in listed}
    if unknown := [name for name in wanted if name not in found]:
        yield Check(
            name="endpoint services",
            status="failed",
            detail=f"EC2 lists no {', '.join(unknown)} in {settings.region}: the Network stack "
            "would fail",
            fix=_without(unknown, settings),
        )
        return
    zones = {f"{settings.region}{letter}" for letter in settings.network.zones}
    lacking = {name: gone for name in wanted if (gone := sorted(zones - found[name]))}
    if not lacking:
        detail = f"all {len(wanted)} in {', '.join(sorted(zones))}"
        yield Check(name="endpoint services", status="ok", detail=detail)
        return
    everywhere = set.intersection(*(found[name] for name in wanted))
    letters = ", ".join(sorted(zone.removeprefix(settings.region) for zone in everywhere))
    words = "; ".join(f"{name} is not in {', '.join(gone)}" for name, gone in lacking.items())
    yield Check(
        name="endpoint services",
        status="failed",
        detail=words,
        fix=f"choose zones that have all of them as `network.zones` in {file}: "
        f"{letters or 'none has; leave one service out'}",
    )
