"""What is watched of an endpoint: two alarms take an update back, the others tell people."""

from typing import Any

from aws_cdk import aws_cloudwatch as cloudwatch
from constructs import Construct

from sashiko.aws.endpoint_spec import VARIANT, alarm_name
from sashiko.aws.names import alerts_topic_arn
from sashiko.settings import Settings

_INVOCATIONS = "AWS/SageMaker"
_INSTANCES = "/aws/sagemaker/Endpoints"
_MICROSECONDS = 1000  # in a millisecond: the unit of ModelLatency
_CLIENT_ERRORS = 0.05
_FULL = 90  # percent
_HOURS_IDLE = 24


class EndpointAlarms(Construct):
    """The alarms, under fixed names: a deployment names those that roll it back.

    Neither a silent endpoint nor a caller's mistake takes an update back: a fleet that gets no
    request yet has no metrics, and 4XX is the caller's.

    Attributes:
        rollback: names of the two that take an update back.
    """

    def __init__(self, scope: Construct, id: str, *, settings: Settings, endpoint: str) -> None:
        """Makes the alarms of the variant of `endpoint`."""
        super().__init__(scope, id)
        self._settings = settings
        self._dimensions = [
            cloudwatch.CfnAlarm.DimensionProperty(name="EndpointName", value=endpoint),
            cloudwatch.CfnAlarm.DimensionProperty(name="VariantName", value=VARIANT),
        ]
        serving = settings.serving
        minute = {"period": 60, "evaluation_periods": 3, "datapoints_to_alarm": 2}
        self._alarm(
            "5xx",
            "Share of requests that the model failed at; takes an update back",
            metric_name="Invocation5XXErrors",
            statistic="Average",  # each request counts 0 or 1
            threshold=serving.error_rate,
            **minute,
        )
        self._alarm(
            "p99-latency",
            "Microseconds in the model, 99th percentile; takes an update back",
            metric_name="ModelLatency",
            extended_statistic="p99",
            threshold=serving.p99_latency_ms * _MICROSECONDS,
            **minute,
        )
        self.rollback = [alarm_name(settings, about) for about in ("5xx", "p99-latency")]
        self._notifying()

    def _notifying(self) -> None:
        minutes = {"period": 300, "evaluation_periods": 3, "datapoints_to_alarm": 3}
        self._alarm(
            "4xx",
            "Share of requests that were refused: what callers send does not fit the contract",
            metric_name="Invocation4XXErrors",
            statistic="Average",
            threshold=_CLIENT_ERRORS,
            **minutes,
        )
        self._alarm(
            "idle",
            "No request for 24 hours, while it costs by the hour; also until its first one",
            metric_name="Invocations",
            statistic="Sum",
            threshold=1,
            comparison_operator="LessThanThreshold",
            period=3600,
            evaluation_periods=_HOURS_IDLE,
            datapoints_to_alarm=_HOURS_IDLE,
            treat_missing_data="breaching",  # without requests there are no metrics of them
        )
        for about, metric in {"memory": "MemoryUtilization", "disk": "DiskUtilization"}.items():
            self._alarm(
                about,
                f"Percent of the instances' {about} in use",
                metric_name=metric,
                namespace=_INSTANCES,
                statistic="Maximum",
                threshold=_FULL,
                **minutes,
            )

    def _alarm(self, about: str, description: str, **properties: Any) -> None:
        topic = alerts_topic_arn(self._settings)
        given = {
            "namespace": _INVOCATIONS,
            "comparison_operator": "GreaterThanThreshold",
            "treat_missing_data": "notBreaching",
            **properties,
        }
        cloudwatch.CfnAlarm(
            self,
            about,
            alarm_name=alarm_name(self._settings, about),
            alarm_description=description,
            dimensions=self._dimensions,
            alarm_actions=[topic],
            ok_actions=[topic],
            **given,
        )
