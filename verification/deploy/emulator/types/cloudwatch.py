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

    def create(self, at: Place, wanted: Properties) -> str:
        name = wanted.get("AlarmName") or at.generated_name(255)
        if _find(at, name):
            raise ResourceError(f"{name} already exists")
        at.aws("cloudwatch").put_metric_alarm(**{**wanted, "AlarmName": name})
        return str(name)

    def update(self, at: Place, physical_id: str, old: Properties, new: Properties) -> None:
        cloudwatch = at.aws("cloudwatch")
        given = {key: item for key, item in new.items() if key != "Tags"}
        cloudwatch.put_metric_alarm(**{**given, "AlarmName": physical_id})
        arn = self.attributes(at, physical_id, new)["Arn"]
        gone, tags = changed_tags(old, new)
        # moto knows no tags of an alarm that never had one.
        if gone:
            cloudwatch.untag_resource(ResourceARN=arn, TagKeys=gone)
        if tags:
            cloudwatch.tag_resource(ResourceARN=arn, Tags=tags)

    def delete(self, at: Place, physical_id: str, had: Properties) -> None:
        at.aws("cloudwatch").delete_alarms(AlarmNames=[physical_id])

    def read(self, at: Place, physical_id: str, wanted: Properties) -> Properties:
        found = _find(at, physical_id)
        if not found:
            raise AbsentError(f"no alarm {physical_id}")
        tags = at.aws("cloudwatch").list_tags_for_resource(ResourceARN=found[0]["AlarmArn"])
        return {**found[0], "Tags": tags["Tags"]}

    def attributes(self, at: Place, physical_id: str, wanted: Properties) -> dict[str, Any]:
        return {"Arn": f"arn:aws:cloudwatch:{at.region}:{at.account}:alarm:{physical_id}"}


def _find(at: Place, name: str) -> list[dict[str, Any]]:
    found = at.aws("cloudwatch").describe_alarms(AlarmNames=[name])["MetricAlarms"]
    return list(found)


class Dashboard(ResourceType):
    name = "AWS::CloudWatch::Dashboard"
    updated = frozenset({"DashboardBody"})
    handled = updated | {"DashboardName", "Tags"}

    def create(self, at: Place, wanted: Properties) -> str:
        self._put(at, wanted["DashboardName"], wanted)
        return str(wanted["DashboardName"])

    def _put(self, at: Place, name: str, wanted: Properties) -> None:
        json.loads(wanted["DashboardBody"])
        at.aws("cloudwatch").put_dashboard(
            DashboardName=name, DashboardBody=wanted["DashboardBody"]
        )

    def update(self, at: Place, physical_id: str, old: Properties, new: Properties) -> None:
        self._put(at, physical_id, new)

    def delete(self, at: Place, physical_id: str, had: Properties) -> None:
        at.aws("cloudwatch").delete_dashboards(DashboardNames=[physical_id])

    def read(self, at: Place, physical_id: str, wanted: Properties) -> Properties:
        return dict(at.aws("cloudwatch").get_dashboard(DashboardName=physical_id))


TYPES = (Alarm, Dashboard)
