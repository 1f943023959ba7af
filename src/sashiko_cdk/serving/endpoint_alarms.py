"""The alarms of an endpoint: two roll an update back, the others notify people."""

from collections.abc import Mapping
from typing import Any

from aws_cdk import aws_cloudwatch as cloudwatch
from constructs import Construct

from sashiko.account.endpoint_spec import VARIANT, alarm_name
from sashiko.account.names import alerts_topic_arn
from sashiko.settings.environment import Settings

__all__ = ["EndpointAlarms"]

_INVOCATIONS = "AWS/SageMaker"
_INSTANCES = "/aws/sagemaker/Endpoints"
_MICROSECONDS = 1000  # in a millisecond: the unit of ModelLatency
_CLIENT_ERRORS = 0.05
_FULL = 90  # percent
_HOURS_IDLE = 24
_MINUTES: Mapping[str, Any] = {"period": 60, "evaluation_periods": 3, "datapoints_to_alarm": 2}


class EndpointAlarms(Construct):
    """The alarms; a deployment names those that roll it back.

    These monitor only the new fleet, by the name of its configuration: a failing old fleet must not
    roll back the update that fixes it (SageMaker's guide, "Auto-Rollback Configuration and
    Monitoring"). Each configuration has its own two, which CloudFormation creates before the update
    and deletes after it. The same two exist for the whole endpoint: after a rollback by SageMaker
    an older configuration serves, and only they monitor it.

    Neither missing requests nor a client error rolls an update back: a fleet without requests has
    no metrics, and 4XX is the client's error. This relies on the artifact's handler, which answers
    500 to each server fault, where the toolkit would answer 400
    (`serving/container/inference.py`).
    SageMaker counts the model's responses (its guide, "Amazon SageMaker AI metrics in Amazon
    CloudWatch").
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
        self.rollback = [  # names of those that roll an update back
            self._errors(f"5xx-{digest}", "; takes an update back", fleet),
            self._latency(f"p99-latency-{digest}", "; takes an update back", fleet),
        ]
        self._notifying()

    def _errors(self, kind: str, consequence: str, dimensions: Mapping[str, str]) -> str:
        return self._alarm(
            kind,
            f"Share of requests that the model failed at{consequence}",
            dimensions=dimensions,
            metric_name="Invocation5XXErrors",
            statistic="Average",  # each request counts 0 or 1
            threshold=self._settings.serving.error_rate,
            **_MINUTES,
        )

    def _latency(self, kind: str, consequence: str, dimensions: Mapping[str, str]) -> str:
        return self._alarm(
            kind,
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
        for kind, metric in {"memory": "MemoryUtilization", "disk": "DiskUtilization"}.items():
            self._alarm(
                kind,
                f"Percent of the instances' {kind} in use",
                metric_name=metric,
                namespace=_INSTANCES,
                statistic="Maximum",
                threshold=_FULL,
                **minutes,
            )

    def _alarm(
        self,
        kind: str,
        description: str,
        *,
        dimensions: Mapping[str, str] | None = None,
        **properties: Any,
    ) -> str:
        topic = alerts_topic_arn(self._settings)
        name = alarm_name(self._settings, kind)
        values = {
            "namespace": _INVOCATIONS,
            "comparison_operator": "GreaterThanThreshold",
            "treat_missing_data": "notBreaching",
            **properties,
        }
        cloudwatch.CfnAlarm(
            self,
            kind,
            alarm_name=name,
            alarm_description=description,
            dimensions=[
                cloudwatch.CfnAlarm.DimensionProperty(name=key, value=value)
                for key, value in (dimensions or self._dimensions).items()
            ],
            alarm_actions=[topic],
            ok_actions=[topic],
            **values,
        )
        return name
