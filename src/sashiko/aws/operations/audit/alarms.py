"""Differences of the alarms that take an endpoint's update back: are they there, do they see?"""

from collections.abc import Iterator, Mapping
from typing import Any

from sashiko.aws.operations.audit.difference import Difference
from sashiko.aws.operations.templates import Resource
from sashiko.aws.resources.account import Account

_FLEET = "EndpointConfigName"


def rollback_alarms(account: Account, endpoint: Resource) -> Iterator[Difference]:
    """Yields the alarms of an endpoint's deployment without which a bad update stays.

    Raises:
        InputError: as `Account.read` does.
    """
    rollback = endpoint.properties["DeploymentConfig"]["AutoRollbackConfiguration"]["Alarms"]
    names = [str(item["AlarmName"]) for item in rollback]
    listed = account.read("cloudwatch", "describe_alarms", AlarmNames=names) or {}
    there = {item["AlarmName"]: item for item in listed.get("MetricAlarms", ())}
    for name in sorted(names):
        if name not in there:
            yield Difference(
                kind="missing",
                resource=f"alarm {name}",
                detail="it takes an update back",
                fix="deploy the Serving stack; where it says no change, destroy and deploy it",
            )
        elif not _sees(account, there[name]):
            yield Difference(
                kind="differs",
                resource=f"alarm {name}",
                detail=f"it sees no request: SageMaker sends {there[name]['MetricName']} without "
                f"the dimension {_FLEET}",
                fix=f"take {_FLEET} out of src/sashiko_cdk/serving/endpoint_alarms.py and deploy",
            )


def _sees(account: Account, alarm: Mapping[str, Any]) -> bool:
    """An endpoint without requests has no metrics, and the older fleet's have the dimension too."""
    dimensions = [item for item in alarm["Dimensions"] if item["Name"] != _FLEET]
    found = [
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
    return not found or any(_FLEET in names for names in found)
