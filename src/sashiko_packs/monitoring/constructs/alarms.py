"""A window's outcome as metrics, with their alarms and their dashboard."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from aws_cdk import Duration
from aws_cdk import aws_cloudwatch as cloudwatch
from constructs import Construct

from sashiko.account.endpoint_spec import endpoint_name
from sashiko.account.names import alerts_topic_arn, bucket_name, prefix
from sashiko.settings.environment import Settings
from sashiko.settings.recipe import Recipe
from sashiko_cdk.events.language import call, either, expression, flow, literal, text
from sashiko_packs.monitoring.checks import KINDS, ROWS
from sashiko_packs.monitoring.places import may_be_silent, monitor_places
from sashiko_packs.monitoring.result import MonitorResult

# By kind of check. Of a kind without a judged check the first is not published, so that an alarm
# keeps its state.
CHECKS_IN_ALARM: Final = "ChecksInAlarm"
CHECKS_JUDGED: Final = "ChecksJudged"
CAPTURED_ROWS: Final = "CapturedRows"  # of the group
CHECK_VALUE: Final = "CheckValue"  # by kind and check
GROUP: Final = "ModelPackageGroup"  # dimensions
KIND: Final = "Kind"
CHECK: Final = "Check"
_OF_WINDOW: Final = ("ModelVersion", "WindowStart", "WindowEnd")
_OUTCOME: Final = "$states.input"
_LINE_END: Final = "\n"


def outcome_flow(
    settings: Settings, recipe: Recipe, *, namespace: str, dashboard: str
) -> dict[str, Any]:
    """Returns the flow that the success of a monitoring pipeline starts.

    Alarms come before the metrics by check, so that nothing about those keeps an alarm back.
    Metrics have the time of their publication, so that an alarm sees a window that did not run as
    missing data. `$parse` is Step Functions' own ("Transforming data with JSONata in Step
    Functions", AWS Step Functions Developer Guide). A message links to the dashboard.
    """
    artifacts = bucket_name(settings, "artifacts")
    windows = monitor_places(settings, recipe).windows.removeprefix(f"s3://{artifacts}/")
    group, parameters = endpoint_name(settings, recipe), "$states.result.PipelineParameters"
    values = ", ".join(f"{parameters}[Name = '{name}'].Value" for name in _OF_WINDOW)

    def publish(metrics: str, **rest: Any) -> dict[str, Any]:
        return call(
            "aws-sdk:cloudwatch:putMetricData",
            {"Namespace": namespace, "MetricData": expression(metrics)},
            Output=expression(_OUTCOME),
            **rest,
        )

    dimensions = [(GROUP, literal(group)), (KIND, "kind"), (CHECK, "$replace(name, /[^ -~]/, '?')")]
    kinds = f"$join($distinct({_OUTCOME}.checks[outcome = 'alarm'].kind), ', ')"
    words = f"{literal(f'{prefix(settings)}: {recipe.name}, alarm of ')} & {kinds}"
    command = f"sashiko monitor --env {settings.environment} --recipe {recipe.name}"
    url = (
        f"https://{settings.region}.console.aws.amazon.com/cloudwatch/home"
        f"?region={settings.region}#dashboards/dashboard/{dashboard}"
    )
    ends = f"$substring({_OUTCOME}.start, 0, 10) & ' to ' & $substring({_OUTCOME}.end, 0, 10)"
    return flow(
        "Publishes what a window of captured requests showed",
        start="ReadParameters",
        states={
            "ReadParameters": call(
                "aws-sdk:sagemaker:listPipelineParametersForExecution",
                {
                    "PipelineExecutionArn": expression("$states.input.detail.pipelineExecutionArn"),
                    "MaxResults": 50,
                },
                Output={"folder": expression(f"$join([{values}], '/')")},
                Assign={"time": expression("$states.input.time")},
                Next="ReadOutcome",
            ),
            "ReadOutcome": call(
                "aws-sdk:s3:getObject",
                {
                    "Bucket": artifacts,
                    "Key": expression(
                        f"{literal(f'{windows}/')} & $states.input.folder & "
                        f"{literal(f'/{MonitorResult.FILE}')}"
                    ),
                    "ExpectedBucketOwner": settings.account,
                },
                Output=expression("$parse($states.result.Body)"),
                Next="PublishKinds",
            ),
            "PublishKinds": publish(
                _of_kinds(group, silent=may_be_silent(settings)), Next="HasAlarm"
            ),
            "HasAlarm": either(f"$count({_OUTCOME}.alarms) > 0", "SendAlarms", "HasValue"),
            "SendAlarms": call(
                "sns:publish",
                {
                    "TopicArn": alerts_topic_arn(settings),
                    "Subject": expression(f"$substring({words}, 0, 99)"),
                    "Message": text(
                        f"{_OUTCOME}.group & ' version ' & {_OUTCOME}.version & ', ' & {ends}",
                        literal("\n\n"),
                        f"{_OUTCOME}.summary",
                        literal("\n\n"),
                        f"$join({_OUTCOME}.alarms, {literal(_LINE_END)})",
                        literal(
                            "\n\nThe page of all windows, what the alarms mean, and whether a run "
                            f"is proposed:\n{command}\n\nThe dashboard:\n{url}\n"
                        ),
                    ),
                },
                Output=expression(_OUTCOME),
                Next="HasValue",
            ),
            "HasValue": either(f"$count({_measured()}) > 0", "PublishChecks", "Done"),
            "PublishChecks": publish(
                f"[{_measured()}.{_metric(CHECK_VALUE, 'value', dimensions)}]", End=True
            ),
            "Done": {"Type": "Succeed"},
        },
    )


def _metric(name: str, value: str, dimensions: Sequence[tuple[str, str]]) -> str:
    pairs = ", ".join(f'{{"Name": "{key}", "Value": {of}}}' for key, of in dimensions)
    return f'{{"MetricName": "{name}", "Value": {value}, "Dimensions": [{pairs}]}}'


def _of_kinds(group: str, *, silent: bool) -> str:
    """Returns the expression of the group's metrics, and of those by kind of check.

    Of a window without requests, which may be `silent`, no kind of check has a metric: each
    alarm keeps its state. JSONata leaves out of an array what has no value, such as a condition
    without an else.
    """
    own = [(GROUP, literal(group))]
    metrics = [_metric(CAPTURED_ROWS, f"{_OUTCOME}.capture.rows", own)]
    unless_silent = f" and {_OUTCOME}.outcome != 'no requests'" if silent else ""
    for kind in KINDS:
        of_kind = [*own, (KIND, literal(kind))]
        checks = f"{_OUTCOME}.checks[kind = '{kind}']"
        judged = f"$count({checks}[outcome != 'not judged'])"
        in_alarm = f"$count({checks}[outcome = 'alarm'])"
        metrics += [
            f"($count({checks}) > 0{unless_silent} ? {_metric(CHECKS_JUDGED, judged, of_kind)})",
            f"({judged} > 0 ? {_metric(CHECKS_IN_ALARM, in_alarm, of_kind)})",
        ]
    return f"[{', '.join(metrics)}]"


def _measured() -> str:
    """Returns the expression of the checks with a value; captured rows have a metric of theirs.

    "PutMetricData" takes 1,000 metrics (CloudWatch API Reference); a state's 256 KiB hold fewer
    checks.
    """
    return f"{_OUTCOME}.checks[value != null and effect != '{ROWS}']"


_DAY: Final = 24 * 3600
# The longest that an alarm may look back (`Period` of "PutMetricAlarm", CloudWatch API Reference).
# Where data are missing it uses older ones ("Configuring how CloudWatch alarms treat missing data",
# CloudWatch User Guide), so a window that comes a little later than the last one is no alarm.
_LONGEST_DAYS: Final = 7
_OF_THE_LAST_WINDOW: Final[dict[str, Any]] = {
    "statistic": "Maximum",
    "evaluation_periods": 1,
    "datapoints_to_alarm": 1,
    "treat_missing_data": "ignore",
}


def add_alarms(
    scope: Construct, *, settings: Settings, recipe: Recipe, namespace: str, group: str
) -> None:
    """Adds alarms on the metrics of a model package group: by kind of check, and on no window.

    Each tells the alerts topic once when it begins, and once when it ends. A kind of check has an
    alarm of its own, since an alarm that lasts tells nobody of what joins it: CloudWatch acts on
    changes of state ("Using Amazon CloudWatch alarms", CloudWatch User Guide).

    All but the last keep their state where data are missing (`ignore`: "the current alarm state is
    maintained", "Configuring how CloudWatch alarms treat missing data", CloudWatch User Guide). So
    nothing is sent between two windows, and a window that could not judge a kind of checks, as
    after the capture has died, ends no alarm of that kind.
    """
    alarms, topic = Construct(scope, "Alarms"), alerts_topic_arn(settings)

    def alarm(
        name: str, description: str, *, kind: str | None = None, is_below: bool = True, **more: Any
    ) -> None:
        of = {GROUP: group} | ({KIND: kind} if kind else {})
        cloudwatch.CfnAlarm(
            alarms, name, alarm_name=f"{prefix(settings)}-monitor-{name}",
            alarm_description=description, namespace=namespace,
            dimensions=[
                cloudwatch.CfnAlarm.DimensionProperty(name=key, value=value)
                for key, value in of.items()
            ],
            period=_DAY, threshold=1 if is_below else 0,
            comparison_operator="LessThanThreshold" if is_below else "GreaterThanThreshold",
            alarm_actions=[topic], ok_actions=[topic], **(_OF_THE_LAST_WINDOW | more),
        )  # fmt: skip

    kinds = [kind for kind in KINDS if kind != "bias" or recipe.bias.judged]
    for kind in kinds:
        alarm(
            kind,
            f"Checks of {kind} in the last window that are in alarm; the message of the window "
            "names them",
            metric_name=CHECKS_IN_ALARM,
            is_below=False,
            kind=kind,
        )
    for kind in kinds:
        if kind != "capture":  # always judged
            why = f"The last window had too few rows or labels to judge {kind}"
            alarm(f"{kind}-not-judged", why, metric_name=CHECKS_JUDGED, kind=kind)
    if not may_be_silent(settings):
        alarm(
            "captured-rows",
            "In the last window no row was captured: the capture is dead, or nobody calls",
            metric_name=CAPTURED_ROWS,
        )
    alarm(
        "did-not-run",
        "No window was judged for seven days; also until the first one",
        metric_name=CAPTURED_ROWS,
        statistic="SampleCount",
        evaluation_periods=_LONGEST_DAYS,
        datapoints_to_alarm=_LONGEST_DAYS,
        treat_missing_data="breaching",  # without a window there is no metric
    )


def add_dashboard(
    scope: Construct, *, settings: Settings, namespace: str, group: str, name: str
) -> None:
    """Adds the dashboard `name`: rows, checks in alarm by kind, and the value of each check.

    Which checks there are, depends on contract and version, so they are searched for. A search sees
    metrics with data of the last two weeks ("CloudWatch search expression syntax", CloudWatch User
    Guide).
    """
    dashboard = Construct(scope, "Dashboard")
    own = {GROUP: group}

    def metric(name: str, **dimensions: str) -> cloudwatch.Metric:
        return cloudwatch.Metric(
            namespace=namespace, metric_name=name, dimensions_map=own | dimensions,
            statistic="Maximum", period=Duration.days(1), label=dimensions.get(KIND, name),
            region=settings.region,
        )  # fmt: skip

    def values(kind: str) -> cloudwatch.MathExpression:
        schema = f'"{namespace}",{GROUP},{KIND},{CHECK}'
        terms = f'MetricName="{CHECK_VALUE}" {GROUP}="{group}" {KIND}="{kind}"'
        return cloudwatch.MathExpression(
            expression=f"SEARCH('{{{schema}}} {terms}', 'Maximum', 86400)",
            label="",
            using_metrics={},
            search_region=settings.region,
        )

    drawn: Mapping[str, list[cloudwatch.IMetric]] = {
        "Captured rows": [metric(CAPTURED_ROWS)],
        "Checks in alarm": [metric(CHECKS_IN_ALARM, **{KIND: kind}) for kind in KINDS],
        **{f"{kind}: value of each check": [values(kind)] for kind in KINDS},
    }
    widgets = [
        cloudwatch.GraphWidget(title=title, width=12, region=settings.region, left=metrics)
        for title, metrics in drawn.items()
    ]
    cloudwatch.Dashboard(
        dashboard,
        "Dashboard",
        dashboard_name=name,
        default_interval=Duration.days(91),
        widgets=[widgets[place : place + 2] for place in range(0, len(widgets), 2)],
    )
