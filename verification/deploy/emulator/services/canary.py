"""The alarms that watch an endpoint's update: one of them over its threshold takes it back."""

import datetime as dt
from typing import Any

_RECENT = dt.timedelta(hours=1)


def breached_alarm(cloudwatch: Any, deployment: dict[str, Any]) -> str:
    """Returns the name of an alarm whose metric is above its threshold now; empty if none is."""
    alarms = deployment.get("AutoRollbackConfiguration", {}).get("Alarms", [])
    names = [item["AlarmName"] for item in alarms]
    now = dt.datetime.now(dt.UTC)
    for alarm in cloudwatch.describe_alarms(AlarmNames=names)["MetricAlarms"] if names else ():
        points = cloudwatch.get_metric_statistics(
            Namespace=alarm["Namespace"],
            MetricName=alarm["MetricName"],
            Dimensions=alarm["Dimensions"],
            StartTime=now - _RECENT,
            EndTime=now + _RECENT,
            Period=60,
            Statistics=["Maximum"],
        )["Datapoints"]
        newest = max(points, key=lambda point: point["Timestamp"], default={"Maximum": 0})
        if newest["Maximum"] > alarm["Threshold"]:
            return str(alarm["AlarmName"])
    return ""
