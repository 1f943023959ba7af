"""Differences in the rollback alarms of an endpoint: missing ones, and those without data."""

from collections.abc import Iterator, Mapping
from typing import Any

from sashiko.aws.operations.audit.difference import Difference
from sashiko.aws.operations.templates import Resource
from sashiko.aws.resources.account import Account

_FLEET = "EndpointConfigName"


def rollback_alarms(account: Account, endpoint: Resource) -> Iterator[Difference]:
    """Yields the rollback alarms of an endpoint's deployment that are missing or receive no data.

    Raises:
        InputError: as `Account.read` does.
    """
    rollback = endpoint.properties["DeploymentConfig"]["AutoRollbackConfiguration"]["Alarms"]
    names = [str(item["AlarmName"]) for item in rollback]
    response = account.read("cloudwatch", "describe_alarms", AlarmNames=names) or {}
    alarms = {item["AlarmName"]: item for item in response.get("MetricAlarms", ())}
    for name in sorted(names):
        if name not in alarms:
            yield Difference(
                kind="missing",
                resource=f"alarm {name}",
                detail="it takes an update back",
                fix="deploy the Serving stack; where it says no change, destroy and deploy it",
            )
        elif not _receives_data(account, alarms[name]):
            yield Difference(
                kind="differs",
                resource=f"alarm {name}",
                detail=f"it sees no request: SageMaker sends {alarms[name]['MetricName']} without "
                f"the dimension {_FLEET}",
                fix=f"take {_FLEET} out of src/sashiko_cdk/serving/endpoint_alarms.py and deploy",
            )


def _receives_data(account: Account, alarm: Mapping[str, Any]) -> bool:
    """Says whether an alarm's metric exists, or the endpoint had no requests yet."""
    dimensions = [item for item in alarm["Dimensions"] if item["Name"] != _FLEET]
    dimension_sets = [
        {item["Name"] for item in metric["Dimensions"]}
        for metric in account.pages(
            "cloudwatch",
            "list_metrics",
            "Metrics",
            Namespace=alarm["Namespace"],
            MetricName=alarm["MetricName"],
            Dimensions=dimensions,
        )
    ]
    return not dimension_sets or any(_FLEET in names for names in dimension_sets)
