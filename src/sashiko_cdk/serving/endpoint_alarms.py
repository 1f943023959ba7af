"""What is watched of an endpoint: two alarms take an update back, the others tell people."""

from collections.abc import Mapping
from typing import Any

from aws_cdk import aws_cloudwatch as cloudwatch
from constructs import Construct

from sashiko.aws.resources.endpoint_spec import VARIANT, alarm_name
from sashiko.aws.resources.names import alerts_topic_arn
from sashiko.settings.environment import Settings

_INVOCATIONS = "AWS/SageMaker"
_INSTANCES = "/aws/sagemaker/Endpoints"
_MICROSECONDS = 1000  # in a millisecond: the unit of ModelLatency
_CLIENT_ERRORS = 0.05
_FULL = 90  # percent
_HOURS_IDLE = 24
_MINUTES: Mapping[str, Any] = {"period": 60, "evaluation_periods": 3, "datapoints_to_alarm": 2}


class EndpointAlarms(Construct):
    """The alarms; a deployment names those that roll it back.

    Those see the new fleet alone, by its configuration's name: an old fleet that fails must not
    take back the update that mends it (SageMaker's guide, "Auto-Rollback Configuration and
    Monitoring"). Each configuration has its own two, which CloudFormation makes before the update
    and deletes after it. The same two of the whole endpoint stay: after a rollback by SageMaker an
    older configuration serves, and only they see it.

    Neither a silent endpoint nor a caller's mistake takes an update back: a fleet that gets no
    request yet has no metrics, and 4XX is the caller's. It is so because the artifact's handler
    answers 500 to each fault: by itself the toolkit makes a 400 of it
    (`serving/container/inference.py`).
    SageMaker counts what the model returned (its guide, "Amazon SageMaker AI metrics in Amazon
    CloudWatch").

    Attributes:
        rollback: names of the two that take an update back.
    """

    def __init__(
        self, scope: Construct, id: str, *, settings: Settings, endpoint: str, config: str
    ) -> None:
        """Makes the alarms of the variant of `endpoint`, and of its fleet on `config`."""
        super().__init__(scope, id)
        self._settings = settings
        self._dimensions = {"EndpointName": endpoint, "VariantName": VARIANT}
        fleet = {**self._dimensions, "EndpointConfigName": config}
        digest = config.rpartition("-")[2]
        self.rollback = [
            self._errors(f"5xx-{digest}", "; takes an update back", fleet),
            self._latency(f"p99-latency-{digest}", "; takes an update back", fleet),
        ]
        self._notifying()

    def _errors(self, about: str, consequence: str, dimensions: Mapping[str, str]) -> str:
        return self._alarm(
            about,
            f"Share of requests that the model failed at{consequence}",
            dimensions=dimensions,
            metric_name="Invocation5XXErrors",
            statistic="Average",  # each request counts 0 or 1
            threshold=self._settings.serving.error_rate,
            **_MINUTES,
        )

    def _latency(self, about: str, consequence: str, dimensions: Mapping[str, str]) -> str:
        return self._alarm(
            about,
            f"Microseconds in the model, 99th percentile{consequence}",
            dimensions=dimensions,
            metric_name="ModelLatency",
            extended_statistic="p99",
            threshold=self._settings.serving.p99_latency_ms * _MICROSECONDS,
            **_MINUTES,
        )

    def _notifying(self) -> None:
        self._errors("5xx", "", self._dimensions)
        self._latency("p99-latency", "", self._dimensions)
        minutes: Mapping[str, Any] = {
            "period": 300,
            "evaluation_periods": 3,
            "datapoints_to_alarm": 3,
        }
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

    def _alarm(
        self,
        about: str,
        description: str,
        *,
        dimensions: Mapping[str, str] | None = None,
        **properties: Any,
    ) -> str:
        topic = alerts_topic_arn(self._settings)
        name = alarm_name(self._settings, about)
        given = {
            "namespace": _INVOCATIONS,
            "comparison_operator": "GreaterThanThreshold",
            "treat_missing_data": "notBreaching",
            **properties,
        }
        cloudwatch.CfnAlarm(
            self,
            about,
            alarm_name=name,
            alarm_description=description,
            dimensions=[
                cloudwatch.CfnAlarm.DimensionProperty(name=key, value=value)
                for key, value in (dimensions or self._dimensions).items()
            ],
            alarm_actions=[topic],
            ok_actions=[topic],
            **given,
        )
        return name
