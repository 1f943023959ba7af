"""The alarms on windows of captured requests: a check in alarm, and no window at all."""

from typing import Any, Final

from aws_cdk import aws_cloudwatch as cloudwatch
from constructs import Construct

from sashiko.aws.resources.names import alerts_topic_arn, prefix
from sashiko.settings.environment import Settings
from sashiko_cdk.events.flows.outcome import CHECKS_IN_ALARM

_DAY: Final = 24 * 3600
# The longest that an alarm may look back (`Period` of "PutMetricAlarm", CloudWatch API Reference).
# Where data are missing it uses older ones ("Configuring how CloudWatch alarms treat missing data",
# CloudWatch User Guide), so a window that comes a little later than the last one is no alarm.
_LONGEST_DAYS: Final = 7


class MonitorAlarms(Construct):
    """Two alarms; each tells the alerts topic once when it begins, and once when it ends."""

    def __init__(
        self, scope: Construct, id: str, *, settings: Settings, namespace: str, group: str
    ) -> None:
        """Makes them on the metrics of a model package group in a namespace."""
        super().__init__(scope, id)
        self._settings = settings
        self._namespace = namespace
        self._dimension = cloudwatch.CfnAlarm.DimensionProperty(
            name="ModelPackageGroup", value=group
        )
        self._alarm(
            "checks",
            "Checks of the last window that are in alarm; docs/monitoring.md says what to do",
            statistic="Maximum",
            threshold=0,
            comparison_operator="GreaterThanThreshold",
            evaluation_periods=1,
            datapoints_to_alarm=1,
            # Between two windows nothing is known anew: the state, and its one message, stays.
            treat_missing_data="ignore",
        )
        self._alarm(
            "did-not-run",
            "No window was judged for seven days; also until the first one",
            statistic="SampleCount",
            threshold=1,
            comparison_operator="LessThanThreshold",
            evaluation_periods=_LONGEST_DAYS,
            datapoints_to_alarm=_LONGEST_DAYS,
            treat_missing_data="breaching",  # without a window there is no metric
        )

    def _alarm(self, kind: str, description: str, **properties: Any) -> None:
        topic = alerts_topic_arn(self._settings)
        cloudwatch.CfnAlarm(
            self,
            kind,
            alarm_name=f"{prefix(self._settings)}-monitor-{kind}",
            alarm_description=description,
            namespace=self._namespace,
            metric_name=CHECKS_IN_ALARM,
            dimensions=[self._dimension],
            period=_DAY,
            alarm_actions=[topic],
            ok_actions=[topic],
            **properties,
        )
