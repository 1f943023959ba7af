"""The alarms of an endpoint, of which two roll an update back, and its dashboard."""

from collections.abc import Mapping, Sequence
from typing import Any

from aws_cdk import Duration
from aws_cdk import aws_cloudwatch as cloudwatch
from constructs import Construct

from sashiko.account.endpoint_spec import VARIANT, alarm_name
from sashiko.account.names import alerts_topic_arn
from sashiko.settings.environment import Settings
from sashiko_cdk.events.event_flows import add_alarm

__all__ = ["EndpointAlarms", "EndpointDashboard"]

_INVOCATIONS = "AWS/SageMaker"
_INSTANCES = "/aws/sagemaker/Endpoints"
_MICROSECONDS = 1000  # in a millisecond: the unit of ModelLatency
_CLIENT_ERRORS = 0.05
_FULL = 90  # percent
_HOURS_IDLE = 24
_LONGEST_WAIT = 1800  # seconds: an instance may take 20 minutes to start, download and load
_MINUTES: Mapping[str, Any] = {"period": 60, "evaluation_periods": 3, "datapoints_to_alarm": 2}
_QUARTER: Mapping[str, Any] = {"period": 300, "evaluation_periods": 3, "datapoints_to_alarm": 3}


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
        self._errors("5xx", "", self._dimensions)
        self._latency("p99-latency", "", self._dimensions)
        self._alarm(
            "4xx",
            "Share of requests that were refused: what callers send does not fit the contract",
            metric_name="Invocation4XXErrors",
            statistic="Average",
            threshold=_CLIENT_ERRORS,
            **_QUARTER,
        )
        if settings.serving.sleeps:
            self._of_queue(endpoint)
        else:
            self._idle()
        for kind in ("memory", "disk"):
            self._alarm(
                kind,
                f"Percent of the instances' {kind} in use",
                metric_name=f"{kind.title()}Utilization",
                namespace=_INSTANCES,
                statistic="Maximum",
                threshold=_FULL,
                **_QUARTER,
            )

    def _of_queue(self, endpoint: str) -> None:
        """Adds the alarms of an endpoint that sleeps.

        It has no metric `Invocations`; these are of "Alarms and logs for tracking metrics from
        asynchronous endpoints" of SageMaker's guide. Without requests there is nothing to say.
        """
        self._alarm(
            "backlog-age",
            "Seconds that the oldest request has waited: it does not wake, or is too slow",
            {"EndpointName": endpoint},
            metric_name="ApproximateAgeOfOldestRequest",
            statistic="Maximum",
            threshold=_LONGEST_WAIT,
            **_QUARTER,
        )
        for kind, metric, what in (
            ("failed", "InvocationFailures", "that failed, for whatever reason"),
            ("expired", "ExpiredRequests", "that nobody answered before they expired"),
        ):
            self._alarm(
                kind,
                f"Requests {what}",
                metric_name=metric,
                statistic="Sum",
                threshold=0,
                period=300,
                evaluation_periods=1,
            )
        self._alarm(
            "awake",
            "An instance has run for 24 hours on end: an update may have left it awake",
            metric_name="CPUUtilization",
            namespace=_INSTANCES,
            statistic="SampleCount",
            threshold=1,
            comparison_operator="GreaterThanOrEqualToThreshold",
            period=3600,
            evaluation_periods=_HOURS_IDLE,
            datapoints_to_alarm=_HOURS_IDLE,
        )

    def _idle(self) -> None:
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

    def _errors(self, kind: str, consequence: str, dimensions: Mapping[str, str]) -> str:
        return self._alarm(
            kind,
            f"Share of requests that the model failed at{consequence}",
            dimensions,
            metric_name="Invocation5XXErrors",
            statistic="Average",  # each request counts 0 or 1
            threshold=self._settings.serving.error_rate,
            **_MINUTES,
        )

    def _latency(self, kind: str, consequence: str, dimensions: Mapping[str, str]) -> str:
        return self._alarm(
            kind,
            f"Microseconds in the model, 99th percentile{consequence}",
            dimensions,
            metric_name="ModelLatency",
            extended_statistic="p99",
            threshold=self._settings.serving.p99_latency_ms * _MICROSECONDS,
            **_MINUTES,
        )

    def _alarm(
        self,
        kind: str,
        description: str,
        dimensions: Mapping[str, str] | None = None,
        **properties: Any,
    ) -> str:
        topic = [alerts_topic_arn(self._settings)]
        name = alarm_name(self._settings, kind)
        add_alarm(
            self,
            kind,
            dimensions=dimensions or self._dimensions,
            alarm_name=name,
            alarm_description=description,
            alarm_actions=topic,
            ok_actions=topic,
            **{"namespace": _INVOCATIONS, **properties},
        )
        return name


class EndpointDashboard(Construct):
    """Requests, errors, latency and utilization of the instances."""

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        settings: Settings,
        endpoint: str,
        utilization: Sequence[str],
    ) -> None:
        """Creates the dashboard `endpoint`, with the metrics `utilization` of its instances."""
        super().__init__(scope, id)
        self._region = settings.region
        self._of = {"EndpointName": endpoint, "VariantName": VARIANT}
        sleeps = settings.serving.sleeps
        requests = {
            "Requests": ("Invocations", "Sum"),
            "Requests an instance": ("InvocationsPerInstance", "Sum"),
        }
        queue = {
            "Queued": ("ApproximateBacklogSize", "Maximum"),
            "Seconds of the oldest": ("ApproximateAgeOfOldestRequest", "Maximum"),
        }
        errors = {
            f"{kind}, share": (f"Invocation{kind}Errors", "Average") for kind in ("4XX", "5XX")
        }
        latency = {
            f"{metric} {statistic}": (metric, statistic)
            for metric in ("ModelLatency", "TimeInBacklog" if sleeps else "OverheadLatency")
            for statistic in ("p50", "p99")
        }
        used = {metric: (metric, "Average") for metric in utilization}
        shown = (
            self._graph("Queue", queue, of={"EndpointName": endpoint})
            if sleeps
            else self._graph("Requests", requests)
        )
        above = [shown, self._graph("Errors", errors)]
        below = [
            self._graph("Latency, microseconds", latency),
            self._graph("Instances, percent", used, namespace=_INSTANCES),
        ]
        cloudwatch.Dashboard(self, "Dashboard", dashboard_name=endpoint, widgets=[above, below])

    def _graph(
        self,
        title: str,
        lines: Mapping[str, tuple[str, str]],
        *,
        namespace: str = _INVOCATIONS,
        of: Mapping[str, str] | None = None,
    ) -> cloudwatch.GraphWidget:
        return cloudwatch.GraphWidget(
            title=title,
            width=12,
            left=[
                cloudwatch.Metric(
                    namespace=namespace,
                    metric_name=metric,
                    dimensions_map=of or self._of,
                    statistic=statistic,
                    period=Duration.minutes(1),
                    label=label,
                    region=self._region,
                )
                for label, (metric, statistic) in lines.items()
            ],
        )
