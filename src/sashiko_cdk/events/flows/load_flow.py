"""A complete extract in the raw bucket -> a run of its table's ETL job."""

from collections.abc import Sequence
from typing import Any, Final

from sashiko.account.names import etl_name
from sashiko.settings.environment import Settings
from sashiko_cdk.events.flows.language import RETRY, call, expression, flow, literal

_BUSY: Final = "Glue.ConcurrentRunsExceededException"
_WAIT_S: Final = 300
_PATIENCE_S: Final = 12 * 3600


def load_flow(settings: Settings, tables: Sequence[str]) -> dict[str, Any]:
    """Returns the flow that S3's event starts.

    EventBridge delivers an event at least once, and StartJobRun has no idempotency token: so the
    flow first looks for a run of the same extract that started after the marker was written. A job
    has one concurrent run: of two flows that start it at once, the second waits and looks again.
    """
    job = expression(f"{literal(etl_name(settings, ''))} & $table")
    extract = rf"/^({'|'.join(tables)})\/as_of=[0-9]{{8}}T[0-9]{{6}}Z\/_SUCCESS$/"
    same = "Arguments.`--as-of` = $as_of and $toMillis(StartedOn) >= $toMillis($since)"
    return flow(
        "Starts the ETL job of the extract that a _SUCCESS marker completes",
        start="Read",
        # Longer than an ETL job may run (EtlJobs): an endless wait must fail and notify.
        TimeoutSeconds=_PATIENCE_S,
        states={
            "Read": {
                "Type": "Pass",
                # The key may be URL-encoded as in S3's other notifications, with %3D for `=`.
                "Assign": {
                    "key": expression("$decodeUrlComponent($states.input.detail.object.key)"),
                    "since": expression("$states.input.time"),
                },
                "Next": "IsExtract",
            },
            "IsExtract": {
                "Type": "Choice",
                "Choices": [
                    {"Condition": expression(f"$contains($key, {extract})"), "Next": "Name"}
                ],
                "Default": "NotAnExtract",
            },
            "NotAnExtract": {
                "Type": "Fail",
                "Error": "NotAnExtract",
                "Cause": expression(
                    f"$key & {literal(': a marker belongs into TABLE/as_of=YYYYMMDDTHHMMSSZ/; ')}"
                    f" & {literal('tables: ' + ', '.join(tables))}"
                ),
            },
            "Name": {
                "Type": "Pass",
                "Assign": {
                    "table": expression("$substringBefore($key, '/')"),
                    "as_of": expression(
                        "$substringBefore($substringAfter($key, '/as_of='), '/_SUCCESS')"
                    ),
                },
                "Next": "FindRuns",
            },
            "FindRuns": call(
                "aws-sdk:glue:getJobRuns",
                {"JobName": job, "MaxResults": 50},
                Output={"found": expression(f"$count($states.result.JobRuns[{same}])")},
                Next="IsStarted",
            ),
            "IsStarted": {
                "Type": "Choice",
                "Choices": [
                    {"Condition": expression("$states.input.found > 0"), "Next": "Started"}
                ],
                "Default": "Start",
            },
            "Start": call(
                "glue:startJobRun",
                {"JobName": job, "Arguments": {"--as-of": expression("$as_of")}},
                retry=[{"ErrorEquals": [_BUSY], "MaxAttempts": 0}, RETRY],
                Catch=[{"ErrorEquals": [_BUSY], "Next": "WaitForOther"}],
                Next="Started",
            ),
            "WaitForOther": {"Type": "Wait", "Seconds": _WAIT_S, "Next": "FindRuns"},
            "Started": {"Type": "Succeed"},
        },
    )
