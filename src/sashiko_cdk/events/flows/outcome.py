"""The flow that publishes the outcome of a window as CloudWatch metrics: aggregates alone."""

from typing import Any, Final

from sashiko.aws.resources.endpoint_spec import endpoint_name
from sashiko.aws.resources.monitor_places import monitor_places
from sashiko.aws.resources.names import bucket_name
from sashiko.monitoring.result import RESULT_FILE
from sashiko.settings.environment import Settings
from sashiko.settings.recipe import Recipe
from sashiko_cdk.events.flows.language import call, expression, flow, literal

CHECKS_IN_ALARM: Final = "ChecksInAlarm"
_OF_WINDOW: Final = ("ModelVersion", "WindowStart", "WindowEnd")


def outcome_flow(settings: Settings, recipe: Recipe, *, namespace: str) -> dict[str, Any]:
    """Returns the flow that the success of a monitoring pipeline starts.

    Metrics are counts of checks and rows, and the audited accuracy if there is one; their only
    dimension is the model package group. They have the time of their publication, so that an alarm
    sees a window that did not run as missing data. `$parse` is Step Functions' own ("Transforming
    data with JSONata in Step Functions", AWS Step Functions Developer Guide).

    Args:
        settings: the environment.
        recipe: whose model is monitored.
        namespace: of the metrics.
    """
    artifacts = bucket_name(settings, "artifacts")
    windows = monitor_places(settings, recipe).windows.removeprefix(f"s3://{artifacts}/")
    group = endpoint_name(settings, recipe)
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
                Output={"folder": expression(f"$join([{_values()}], '/')")},
                Assign={"time": expression("$states.input.time")},
                Next="ReadOutcome",
            ),
            "ReadOutcome": call(
                "aws-sdk:s3:getObject",
                {
                    "Bucket": artifacts,
                    "Key": expression(
                        f"{literal(f'{windows}/')} & $states.input.folder & "
                        f"{literal(f'/{RESULT_FILE}')}"
                    ),
                    "ExpectedBucketOwner": settings.account,
                },
                Output=expression("$parse($states.result.Body)"),
                Next="Publish",
            ),
            "Publish": call(
                "aws-sdk:cloudwatch:putMetricData",
                {"Namespace": namespace, "MetricData": expression(_metrics(group))},
                End=True,
            ),
        },
    )


def _values() -> str:
    parameters = "$states.result.PipelineParameters"
    return ", ".join(f"{parameters}[Name = '{name}'].Value" for name in _OF_WINDOW)


def _metrics(group: str) -> str:
    """Returns the expression of the metrics; JSONata leaves out of an array what has no value."""
    outcome = "$states.input"
    dimensions = f'[{{"Name": "ModelPackageGroup", "Value": {literal(group)}}}]'

    def metric(name: str, value: str, unit: str) -> str:
        return (
            f'{{"MetricName": "{name}", "Value": {value}, "Unit": "{unit}", '
            f'"Dimensions": {dimensions}}}'
        )

    def checks(state: str) -> str:
        return f"$count({outcome}.checks[outcome = '{state}'])"

    accuracy = f"{outcome}.quality.since_deploy.value"
    metrics = [
        metric(CHECKS_IN_ALARM, checks("alarm"), "Count"),
        metric("ChecksNotJudged", checks("not judged"), "Count"),
        metric("ChecksOk", checks("ok"), "Count"),
        metric("CapturedRows", f"{outcome}.capture.rows", "Count"),
    ]
    audited = f"({accuracy} != null ? {metric('AuditedAccuracy', accuracy, 'None')})"
    return f"[{', '.join([*metrics, audited])}]"
