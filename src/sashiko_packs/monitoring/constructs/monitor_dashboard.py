"""The dashboard of a monitored version: a metric for each check, by kind."""

from aws_cdk import Duration
from aws_cdk import aws_cloudwatch as cloudwatch
from constructs import Construct

from sashiko.settings.environment import Settings
from sashiko_packs.monitoring.checks import KINDS
from sashiko_packs.monitoring.constructs.outcome import (
    CAPTURED_ROWS,
    CHECK,
    CHECK_VALUE,
    CHECKS_IN_ALARM,
    GROUP,
    KIND,
)


class MonitorDashboard(Construct):
    """Rows, checks in alarm by kind, and the value of each check.

    Which checks there are, depends on contract and version, so they are searched for. A search sees
    metrics with data of the last two weeks ("CloudWatch search expression syntax", CloudWatch User
    Guide).
    """

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        settings: Settings,
        namespace: str,
        group: str,
        name: str,
    ) -> None:
        """Creates the dashboard `name` on the metrics of a model package group."""
        super().__init__(scope, id)
        own = {GROUP: group}

        def metric(name: str, **dimensions: str) -> cloudwatch.Metric:
            return cloudwatch.Metric(
                namespace=namespace,
                metric_name=name,
                dimensions_map=own | dimensions,
                statistic="Maximum",
                period=Duration.days(1),
                label=dimensions.get(KIND, name),
                region=settings.region,
            )

        def values(kind: str) -> cloudwatch.GraphWidget:
            schema = f'"{namespace}",{GROUP},{KIND},{CHECK}'
            terms = f'MetricName="{CHECK_VALUE}" {GROUP}="{group}" {KIND}="{kind}"'
            return cloudwatch.GraphWidget(
                title=f"{kind}: value of each check",
                width=12,
                region=settings.region,
                left=[
                    cloudwatch.MathExpression(
                        expression=f"SEARCH('{{{schema}}} {terms}', 'Maximum', 86400)",
                        label="",
                        using_metrics={},
                        search_region=settings.region,
                    )
                ],
            )

        widgets = [
            cloudwatch.GraphWidget(
                title="Captured rows",
                width=12,
                region=settings.region,
                left=[metric(CAPTURED_ROWS)],
            ),
            cloudwatch.GraphWidget(
                title="Checks in alarm",
                width=12,
                region=settings.region,
                left=[metric(CHECKS_IN_ALARM, **{KIND: kind}) for kind in KINDS],
            ),
            *(values(kind) for kind in KINDS),
        ]
        cloudwatch.Dashboard(
            self,
            "Dashboard",
            dashboard_name=name,
            default_interval=Duration.days(91),
            widgets=[widgets[place : place + 2] for place in range(0, len(widgets), 2)],
        )
