"""The dashboard of an endpoint."""

from collections.abc import Mapping, Sequence

from aws_cdk import Duration
from aws_cdk import aws_cloudwatch as cloudwatch
from constructs import Construct

from sashiko.account.endpoint_spec import VARIANT
from sashiko.settings.environment import Settings

__all__ = ["EndpointDashboard"]

_INVOCATIONS = "AWS/SageMaker"
_INSTANCES = "/aws/sagemaker/Endpoints"


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
        latency = {
            f"{metric} {statistic}": (metric, statistic)
            for metric in ("ModelLatency", "OverheadLatency")
            for statistic in ("p50", "p99")
        }
        errors = {
            f"{kind}, share": (f"Invocation{kind}Errors", "Average") for kind in ("4XX", "5XX")
        }
        requests = {
            "Requests": ("Invocations", "Sum"),
            "Requests an instance": ("InvocationsPerInstance", "Sum"),
        }
        cloudwatch.Dashboard(
            self,
            "Dashboard",
            dashboard_name=endpoint,
            widgets=[
                [self._graph("Requests", requests), self._graph("Errors", errors)],
                [
                    self._graph("Latency, microseconds", latency),
                    self._graph(
                        "Instances, percent",
                        {metric: (metric, "Average") for metric in utilization},
                        namespace=_INSTANCES,
                    ),
                ],
            ],
        )

    def _graph(
        self,
        title: str,
        lines: Mapping[str, tuple[str, str]],
        *,
        namespace: str = _INVOCATIONS,
    ) -> cloudwatch.GraphWidget:
        return cloudwatch.GraphWidget(
            title=title,
            width=12,
            left=[
                cloudwatch.Metric(
                    namespace=namespace,
                    metric_name=metric,
                    dimensions_map=self._of,
                    statistic=statistic,
                    period=Duration.minutes(1),
                    label=label,
                    region=self._region,
                )
                for label, (metric, statistic) in lines.items()
            ],
        )
