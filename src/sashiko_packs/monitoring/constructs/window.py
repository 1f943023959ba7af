"""The flow that starts the monitoring pipeline on the week that has ended."""

from typing import Any, Final

from sashiko.account.endpoint_spec import endpoint_name
from sashiko.account.names import bucket_name, monitor_pipeline_name
from sashiko.settings.environment import Settings
from sashiko.settings.recipe import Recipe
from sashiko_cdk.events.flows.language import (
    call,
    either,
    expression,
    fail,
    flow,
    literal,
    text,
)
from sashiko_cdk.events.flows.newest_load import find_load

_DAY_MS: Final = 24 * 3600 * 1000
_WINDOW_MS: Final = 7 * _DAY_MS
_TIME: Final = literal("[Y0001][M01][D01]T[H01][m01][s01]Z")
# Not `version`, which each event of EventBridge has.
_CHOSEN: Final = "$states.input.model_version"
_METADATA: Final = "$states.result.CustomerMetadataProperties"


def window_flow(
    settings: Settings, recipe: Recipe, *, package_arn: str, table: str
) -> dict[str, Any]:
    """Returns the flow that a schedule starts: a window of seven days up to the day's begin, UTC.

    An execution that a person starts with `model_version` in its input judges that version instead,
    such as the one before a deploy, whose answers of the week are in no window otherwise.
    What the answers are compared with is named by the version's own metadata. The version and the
    window's end are the execution's idempotency token: SageMaker starts one execution however often
    the event is delivered. SageMaker refuses a job whose input has no object, so the flow looks for
    captures first.

    Args:
        settings: the environment.
        recipe: whose model is served.
        package_arn: the served version's.
        table: of the lake, whose facets are those of the answers' rows.
    """
    capture, endpoint = bucket_name(settings, "capture"), endpoint_name(settings, recipe)
    packages, _, served = package_arn.rpartition("/")
    named = ["reference_uri", "test_uri", *(["bias_rows_uri"] if recipe.bias.judged else [])]
    complete = " and ".join(f"$exists($metadata.{name})" for name in named)
    find = (
        {"FindLoad": find_load(settings, table, next_state="Start")} if recipe.bias.judged else {}
    )
    return flow(
        "Starts the monitoring pipeline on the week that has ended",
        start="NameWindow",
        states={
            "NameWindow": {
                "Type": "Pass",
                "Assign": {
                    "time": expression("$states.input.time"),
                    "now": _time("$toMillis($states.input.time)"),
                    "end": _time(_midnight(0)),
                    "start": _time(_midnight(_WINDOW_MS)),
                    "version": expression(
                        f"$exists({_CHOSEN}) ? $string({_CHOSEN}) : {literal(served)}"
                    ),
                },
                "Next": "ReadVersion",
            },
            "ReadVersion": call(
                "aws-sdk:sagemaker:describeModelPackage",
                {"ModelPackageName": text(literal(f"{packages}/"), "$version")},
                Assign={"metadata": expression(f"$exists({_METADATA}) ? {_METADATA} : {{}}")},
                Next="HasReference",
            ),
            "HasReference": either(complete, "LookForCaptures", "NoReference"),
            "NoReference": fail(
                "NoReference",
                text(
                    literal("version "),
                    "$version",
                    literal(
                        " does not name what its answers are compared with, since it was "
                        "registered before monitoring: approve and serve a newer version"
                    ),
                ),
            ),
            "LookForCaptures": call(
                "aws-sdk:s3:listObjectsV2",
                {
                    "Bucket": capture,
                    "Prefix": f"{endpoint}/",
                    "MaxKeys": 1,
                    "ExpectedBucketOwner": settings.account,
                },
                Output={"objects": expression("$states.result.KeyCount")},
                Next="HasCaptures",
            ),
            "HasCaptures": either(
                "$states.input.objects > 0", next(iter(find), "Start"), "NothingCaptured"
            ),
            "NothingCaptured": fail(
                "NothingCaptured",
                f"the endpoint {endpoint} has captured no request yet: {capture} has none",
            ),
            **find,
            "Start": call(
                "aws-sdk:sagemaker:startPipelineExecution",
                {
                    "PipelineName": monitor_pipeline_name(settings, recipe.name),
                    "ClientRequestToken": text(
                        literal("monitor-version-"), "$version", literal("-window-to-"), "$end"
                    ),
                    "PipelineExecutionDisplayName": text(
                        literal("version-"), "$version", literal("-to-"), "$end"
                    ),
                    "PipelineParameters": [
                        # With a slash: the prefix alone would also match other endpoints' names.
                        _parameter("CaptureUri", f"s3://{capture}/{endpoint}/"),
                        _parameter("ModelVersion", expression("$version")),
                        _parameter("WindowStart", expression("$start")),
                        _parameter("WindowEnd", expression("$end")),
                        _parameter("Now", expression("$now")),
                        *(
                            _parameter(
                                name.title().replace("_", ""), expression(f"$metadata.{name}")
                            )
                            for name in named
                        ),
                        *(_parameter("AsOf", expression("$as_of")) for _ in find),
                    ],
                },
                End=True,
            ),
        },
    )


def _midnight(before_ms: int) -> str:
    """Returns the begin of the event's day, `before_ms` milliseconds earlier."""
    return f"$floor($toMillis($states.input.time) / {_DAY_MS}) * {_DAY_MS} - {before_ms}"


def _time(milliseconds: str) -> str:
    return expression(f"$fromMillis({milliseconds}, {_TIME})")


def _parameter(name: str, value: str) -> dict[str, str]:
    return {"Name": name, "Value": value}
