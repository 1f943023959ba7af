"""CloudWatch: alarms and dashboards."""

import json
from typing import Any

from ..engine.errors import AbsentError, ResourceError
from ..engine.resources import Place, Properties, ResourceType, changed_tags


class Alarm(ResourceType):
    """moto's alarms have the template's own names and shapes."""

    name = "AWS::CloudWatch::Alarm"
    updated = frozenset(
        {
            "ActionsEnabled", "AlarmActions", "AlarmDescription", "ComparisonOperator",
            "DatapointsToAlarm", "Dimensions", "EvaluationPeriods", "ExtendedStatistic",
            "MetricName", "Namespace", "OKActions", "Period", "Statistic", "Tags", "Threshold",
            "TreatMissingData",
        }
    )  # fmt: skip
    handled = updated | {"AlarmName"}

    def create(self, place: Place, desired: Properties) -> str:
        name = desired.get("AlarmName") or place.generated_name(255)
        if _find(place, name):
            raise ResourceError(f"{name} already exists")
        place.aws("cloudwatch").put_metric_alarm(**{**desired, "AlarmName": name})
        return str(name)

    def update(self, place: Place, physical_id: str, old: Properties, new: Properties) -> None:
        cloudwatch = place.aws("cloudwatch")
        arguments = {key: item for key, item in new.items() if key != "Tags"}
        cloudwatch.put_metric_alarm(**{**arguments, "AlarmName": physical_id})
        arn = self.attributes(place, physical_id, new)["Arn"]
        removed_keys, tags = changed_tags(old, new)
        # moto fails on tags of an alarm that never had one.
        if removed_keys:
            cloudwatch.untag_resource(ResourceARN=arn, TagKeys=removed_keys)
        if tags:
            cloudwatch.tag_resource(ResourceARN=arn, Tags=tags)

    def delete(self, place: Place, physical_id: str, properties: Properties) -> None:
        place.aws("cloudwatch").delete_alarms(AlarmNames=[physical_id])

    def read(self, place: Place, physical_id: str, desired: Properties) -> Properties:
        alarms = _find(place, physical_id)
        if not alarms:
            raise AbsentError(f"no alarm {physical_id}")
        tags = place.aws("cloudwatch").list_tags_for_resource(ResourceARN=alarms[0]["AlarmArn"])
        return {**alarms[0], "Tags": tags["Tags"]}

    def attributes(self, place: Place, physical_id: str, desired: Properties) -> dict[str, Any]:
        return {"Arn": f"arn:aws:cloudwatch:{place.region}:{place.account}:alarm:{physical_id}"}


def _find(place: Place, name: str) -> list[dict[str, Any]]:
    alarms = place.aws("cloudwatch").describe_alarms(AlarmNames=[name])["MetricAlarms"]
    return list(alarms)


class Dashboard(ResourceType):
    name = "AWS::CloudWatch::Dashboard"
    updated = frozenset({"DashboardBody"})
    handled = updated | {"DashboardName", "Tags"}

    def create(self, place: Place, desired: Properties) -> str:
        self._put(place, desired["DashboardName"], desired)
        return str(desired["DashboardName"])

    def _put(self, place: Place, name: str, desired: Properties) -> None:
        json.loads(desired["DashboardBody"])
        place.aws("cloudwatch").put_dashboard(
            DashboardName=name, DashboardBody=desired["DashboardBody"]
        )

    def update(self, place: Place, physical_id: str, old: Properties, new: Properties) -> None:
        self._put(place, physical_id, new)

    def delete(self, place: Place, physical_id: str, properties: Properties) -> None:
        place.aws("cloudwatch").delete_dashboards(DashboardNames=[physical_id])

    def read(self, place: Place, physical_id: str, desired: Properties) -> Properties:
        return dict(place.aws("cloudwatch").get_dashboard(DashboardName=physical_id))


TYPES = (Alarm, Dashboard)
