"""The few words of Amazon's States Language, with JSONata, that the flows share."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from sashiko.account.names import (
    arn,
    etl_name,
    model_package_arn,
    model_package_group_name,
)
from sashiko.contract.glue import NOTHING_LOADED
from sashiko.settings.environment import Settings
from sashiko_cdk.identity.allow import Allowed, allow

State = dict[str, Any]
_MOST_LOADS: Final = 50  # what a state holds is limited to 256 KiB
# Throttling and a service's bad minutes: five attempts in about seven minutes.
DAY_MS: Final = 24 * 3600 * 1000
MIDNIGHT: Final = f"$floor($toMillis($states.input.time) / {DAY_MS}) * {DAY_MS}"  # of the event
RETRY: Final = {
    "ErrorEquals": ["States.TaskFailed"],
    "IntervalSeconds": 5,
    "MaxAttempts": 4,
    "BackoffRate": 4,
    "JitterStrategy": "FULL",
}


def expression(jsonata: str) -> str:
    """Marks a JSONata expression, as Step Functions asks."""
    return f"{{% {jsonata} %}}"


def text(*parts: str) -> str:
    """Joins JSONata expressions, each a text or nothing, to one text."""
    return expression(" & ".join(parts))


def literal(words: str) -> str:
    """Quotes words for a JSONata expression, whose texts in double quotes are JSON's."""
    return json.dumps(words)


def call(
    resource: str,
    arguments: Mapping[str, Any],
    *,
    retry: Sequence[Mapping[str, Any]] = (RETRY,),
    **rest: Any,
) -> State:
    """Returns a state that calls a service, such as `aws-sdk:glue:getJobRun`."""
    return {
        "Type": "Task",
        "Resource": f"arn:aws:states:::{resource}",
        "Arguments": dict(arguments),
        "Retry": list(retry),
        **rest,
    }


def flow(comment: str, *, start: str, states: Mapping[str, State], **rest: Any) -> dict[str, Any]:
    """Returns a state machine's definition."""
    return {
        "Comment": comment,
        "QueryLanguage": "JSONata",
        "StartAt": start,
        "States": dict(states),
        **rest,
    }


def either(condition: str, next_state: str, otherwise: str) -> State:
    """Returns a state that goes on by a JSONata condition."""
    return {
        "Type": "Choice",
        "Choices": [{"Condition": expression(condition), "Next": next_state}],
        "Default": otherwise,
    }


def fail(error: str, cause: str) -> State:
    """Returns a state that ends the execution with an error, of which the alerts topic is told."""
    return {"Type": "Fail", "Error": error, "Cause": cause}


_TIME: Final = literal("[Y0001][M01][D01]T[H01][m01][s01]Z")


def time_of(milliseconds: str) -> str:
    """Returns the expression of a time in UTC such as `20261128T000000Z`."""
    return expression(f"$fromMillis({milliseconds}, {_TIME})")


def start_pipeline(
    pipeline: str, *, token: str, display_name: str, parameters: Mapping[str, str], **more: str
) -> State:
    """Returns the last state, which starts an execution of a pipeline.

    SageMaker starts one execution for a token, however often the event is delivered.
    """
    return call(
        "aws-sdk:sagemaker:startPipelineExecution",
        {
            "PipelineName": pipeline,
            "ClientRequestToken": token,
            "PipelineExecutionDisplayName": display_name,
            **more,
            "PipelineParameters": [
                {"Name": name, "Value": value} for name, value in parameters.items()
            ],
        },
        End=True,
    )


def find_approved_version(
    settings: Settings, model_package_group: str, *, next_state: str
) -> dict[str, State]:
    """Returns the states from `FindVersion` on, which assign `$version`, the newest approved one.

    The flow fails as `NoVersion` where none is.
    """
    name = model_package_group_name(settings, model_package_group)
    return {
        "FindVersion": call(
            "aws-sdk:sagemaker:listModelPackages",
            {
                "ModelPackageGroupName": name,
                "ModelApprovalStatus": "Approved",
                "SortBy": "CreationTime",
                "SortOrder": "Descending",
                "MaxResults": 1,
            },
            Output={"packages": expression("$states.result.ModelPackageSummaryList")},
            Next="IsApproved",
        ),
        "IsApproved": either("$count($states.input.packages) > 0", "NameVersion", "NoVersion"),
        "NoVersion": fail("NoVersion", f"no version of {name} is approved"),
        "NameVersion": {
            "Type": "Pass",
            "Assign": {
                "version": expression("$string($states.input.packages[0].ModelPackageVersion)")
            },
            "Next": next_state,
        },
    }


def list_versions(settings: Settings, model_package_group: str) -> Allowed:
    """Allows what `find_approved_version` calls."""
    group = model_package_group_name(settings, model_package_group)
    packages = [
        arn(settings, "sagemaker", f"model-package-group/{group}"),
        model_package_arn(settings, model_package_group, "*"),
    ]
    why = "Versions are numbered; those of one group."
    return allow(["sagemaker:ListModelPackages"], packages, why=why)


def find_load(settings: Settings, table: str, *, next_state: str) -> State:
    """Returns the state that assigns `$as_of`, the newest version, or that nothing is loaded.

    It is that of the newest load that had succeeded at `$time`, the time of the event: the same
    however often the event is delivered. Glue returns the newest first ("GetJobRuns", AWS Glue Web
    API Reference). Nothing may be loaded where a promoted version is served.
    """
    loads = (
        "$states.result.JobRuns[JobRunState = 'SUCCEEDED' and $exists(Arguments.`--as-of`)"
        " and $toMillis(CompletedOn) <= $toMillis($time)]"
    )
    return call(
        "aws-sdk:glue:getJobRuns",
        {"JobName": etl_name(settings, table), "MaxResults": _MOST_LOADS},
        Assign={
            "as_of": expression(
                f"($loads := {loads}; $exists($loads) ? "
                f"$loads[0].Arguments.`--as-of` : '{NOTHING_LOADED}')"
            )
        },
        Next=next_state,
    )
