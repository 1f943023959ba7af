"""The few words of Amazon's States Language that the flows share."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

State = dict[str, Any]
# Throttling and a service's bad minutes: five attempts in about seven minutes.
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
