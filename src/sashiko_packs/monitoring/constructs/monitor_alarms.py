"""The alarms on windows of captured requests, by kind of check; and on no window at all.

A kind of check has an alarm of its own, since an alarm that lasts tells nobody of what joins it:
CloudWatch acts on changes of state ("Using Amazon CloudWatch alarms", CloudWatch User Guide).

All but the last keep their state where data are missing (`ignore`: "the current alarm state is
maintained", "Configuring how CloudWatch alarms treat missing data", CloudWatch User Guide). So
nothing is sent between two windows, and a window that could not judge a kind of checks, as after
the capture has died, ends no alarm of that kind.
"""

from typing import Any, Final

from aws_cdk import aws_cloudwatch as cloudwatch
from constructs import Construct

from sashiko.account.names import alerts_topic_arn, prefix
from sashiko.settings.environment import Settings
from sashiko.settings.recipe import Recipe
from sashiko_packs.monitoring.checks import KINDS
from sashiko_packs.monitoring.constructs.outcome import (
    CAPTURED_ROWS,
    CHECKS_IN_ALARM,
    CHECKS_JUDGED,
    GROUP,
    KIND,
)

_DAY: Final = 24 * 3600
# The longest that an alarm may look back (`Period` of "PutMetricAlarm", CloudWatch API Reference).
# Where data are missing it uses older ones ("Configuring how CloudWatch alarms treat missing data",
# CloudWatch User Guide), so a window that comes a little later than the last one is no alarm.
_LONGEST_DAYS: Final = 7


class MonitorAlarms(Construct):
    """Each tells the alerts topic once when it begins, and once when it ends."""

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        settings: Settings,
        recipe: Recipe,
        namespace: str,
        group: str,
    ) -> None:
        """Makes them on the metrics of a model package group in a namespace."""
        super().__init__(scope, id)
        self._settings = settings
        self._namespace = namespace
        self._dimensions = {GROUP: group}
        kinds = [kind for kind in KINDS if kind != "bias" or recipe.bias.judged]
        for kind in kinds:
            self._alarm(
                kind,
                f"Checks of the last window, of its {kind}, that are in alarm; the message of the "
                "window names them",
                metric=CHECKS_IN_ALARM,
                threshold=0,
                comparison_operator="GreaterThanThreshold",
                dimensions={KIND: kind},
                **_OF_THE_LAST_WINDOW,
            )
        for kind in kinds:
            if kind == "capture":  # always judged
                continue
            self._alarm(
                f"{kind}-not-judged",
                f"The last window had too few rows or labels to judge {kind}",
                metric=CHECKS_JUDGED,
                threshold=1,
                comparison_operator="LessThanThreshold",
                dimensions={KIND: kind},
                **_OF_THE_LAST_WINDOW,
            )
        self._alarm(
            "captured-rows",
            "In the last window no row was captured: the capture is dead, or nobody calls",
            metric=CAPTURED_ROWS,
            threshold=1,
            comparison_operator="LessThanThreshold",
            **_OF_THE_LAST_WINDOW,
        )
        self._alarm(
            "did-not-run",
            "No window was judged for seven days; also until the first one",
            metric=CAPTURED_ROWS,
            statistic="SampleCount",
            threshold=1,
            comparison_operator="LessThanThreshold",
            evaluation_periods=_LONGEST_DAYS,
            datapoints_to_alarm=_LONGEST_DAYS,
            treat_missing_data="breaching",  # without a window there is no metric
        )

    def _alarm(
        self,
        name: str,
        description: str,
        *,
        metric: str,
        dimensions: dict[str, str] | None = None,
        **properties: Any,
    ) -> None:
        topic = alerts_topic_arn(self._settings)
        of = self._dimensions | (dimensions or {})
        cloudwatch.CfnAlarm(
            self,
            name,
            alarm_name=f"{prefix(self._settings)}-monitor-{name}",
            alarm_description=description,
            namespace=self._namespace,
            metric_name=metric,
            dimensions=[
                cloudwatch.CfnAlarm.DimensionProperty(name=key, value=value)
                for key, value in of.items()
            ],
            period=_DAY,
            alarm_actions=[topic],
            ok_actions=[topic],
            **properties,
        )


_OF_THE_LAST_WINDOW: Final[dict[str, Any]] = {
    "statistic": "Maximum",
    "evaluation_periods": 1,
    "datapoints_to_alarm": 1,
    "treat_missing_data": "ignore",
}
