"""Services that an account may or may not have, and endpoints that somebody forgot."""

from collections.abc import Iterator

from sashiko.aws.operations.cost.prices import read_prices
from sashiko.aws.operations.doctor.check import Check
from sashiko.aws.resources.account import Account
from sashiko.aws.resources.names import device_check_prefix
from sashiko.errors import InputError
from sashiko.settings.environment import Settings


def check_clarify(account: Account, settings: Settings) -> Check:
    """Says what can be known of Clarify in an account, which is less than one would like.

    Whether its image comes is among the checks of the images.
    """
    if settings.bias.backend == "own":
        return Check(name="Clarify", status="ok", detail="not used: `bias.backend` is own")
    monitors = account.read(
        "sagemaker", "list_monitoring_schedules", MonitoringTypeEquals="ModelBias", MaxResults=1
    )
    if monitors and monitors.get("MonitoringScheduleSummaries"):
        detail = "the account has a bias monitor already, so AWS knows it as a customer of Clarify"
        return Check(name="Clarify", status="ok", detail=detail)
    return Check(
        name="Clarify",
        status="unknown",
        detail="closed to new AWS customers, and no API tells whether an account is an old one: "
        "the bias steps of the first run do",
        fix=f"bias: {{backend: own}} in config/{settings.environment}.yaml computes the same "
        "metrics without it",
    )


def check_trail(account: Account, settings: Settings) -> Check:
    """Says whether a use of break-glass is heard of: EventBridge hears of calls by a trail alone.

    "AWS service events delivered via AWS CloudTrail" of the EventBridge User Guide.
    """
    name = "CloudTrail"
    found = account.read("cloudtrail", "describe_trails") or {}
    for trail in found.get("trailList", ()):
        status = account.read("cloudtrail", "get_trail_status", Name=trail["TrailARN"]) or {}
        if status.get("IsLogging"):
            return Check(name=name, status="ok", detail=f"{trail['Name']} is logging")
    return Check(
        name=name,
        status="note",
        detail=f"no trail is logging in {settings.region}: nobody will hear of a use of "
        "break-glass",
        fix="aws cloudtrail create-trail --is-multi-region-trail ..., or your organization's "
        "trail: docs/first-deploy.md",
    )


def check_forgotten(account: Account, settings: Settings) -> Iterator[Check]:
    """Lists endpoints of device checks: a run that was killed may leave one, billed by the hour."""
    begins = device_check_prefix(settings)
    found = account.pages("sagemaker", "list_endpoints", "Endpoints", NameContains=begins)
    left = [item for item in found if item["EndpointName"].startswith(begins)]
    if not left:
        yield Check(name="device checks", status="ok", detail="none left an endpoint")
    for item in left:
        name = item["EndpointName"]
        made = item["CreationTime"].strftime("%Y-%m-%d %H:%M")
        yield Check(
            name=f"endpoint {name}",
            status="note",
            detail=f"{item['EndpointStatus']} since {made}, {_cost(account, settings, name)}: of a "
            "device check that is at work, or was killed",
            fix="the janitor deletes what is old enough each hour; unless a run is at DeviceCheck: "
            f"aws sagemaker delete-endpoint --endpoint-name {name} --region {settings.region}",
        )


def _cost(account: Account, settings: Settings, endpoint: str) -> str:
    about = account.read("sagemaker", "describe_endpoint", EndpointName=endpoint) or {}
    config = account.read(
        "sagemaker",
        "describe_endpoint_config",
        absent=("ValidationException",),  # deleted already, which stops no bill
        EndpointConfigName=about["EndpointConfigName"],
    )
    kinds = [str(item["InstanceType"]) for item in (config or {}).get("ProductionVariants", ())]
    if not kinds:
        return "billed by the hour"
    try:
        prices = read_prices(settings)
        usd = sum(prices.of_instance(kind).usd for kind in kinds)
    except InputError:  # another region's, or a type that ours lack: the check is not about prices
        return f"{', '.join(kinds)}, billed by the hour"
    return f"{', '.join(kinds)}, {usd:.2f} dollars an hour"
