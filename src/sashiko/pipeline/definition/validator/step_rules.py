"""The rules for a step's retry policies, and for a Lambda step's function.

https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_LambdaStepMetadata.html: an ARN of up
to 256 characters.

Retry policies are not in the API's shapes, but in the developer guide:
https://docs.aws.amazon.com/sagemaker/latest/dg/pipelines-retry-policy.html, read 2026-11-25.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import regex

from sashiko.pipeline.definition.model import Step
from sashiko.pipeline.definition.validator.limits import allowed

# FunctionArn of Lambda's API, with an optional version or alias.
_ARN = regex.compile(
    r"arn:(aws[a-zA-Z-]*):lambda:[a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\d:\d{12}"
    r":function:[a-zA-Z0-9-_]+(:(\$LATEST|[a-zA-Z0-9-_]+))?"
)
_MAX_ARN_LENGTH = 256


def check_function(step: Step) -> Iterator[str]:
    """Yields the problem of a Lambda step's function."""
    if not _ARN.fullmatch(step.function) or len(step.function) > _MAX_ARN_LENGTH:
        yield (
            f"step `{step.name}`, FunctionArn: `{step.function}` is not a function ARN; expected "
            "arn:aws:lambda:<region>:<account>:function:<name>"
        )


_EXCEPTIONS = (
    "Step.SERVICE_FAULT", "Step.THROTTLING", "SageMaker.JOB_INTERNAL_ERROR",
    "SageMaker.CAPACITY_ERROR", "SageMaker.RESOURCE_LIMIT",
)  # fmt: skip
# Key -> minimum, maximum, whether it is an integer; the minimum interval and rate are ours.
_NUMBERS: Mapping[str, tuple[float, float, bool]] = {
    "IntervalSeconds": (1, 43_200, True),
    "BackoffRate": (1, float("inf"), False),
    "MaxAttempts": (1, 20, True),
    "ExpireAfterMin": (1, 14_400, True),
}
_KEYS = ("ExceptionType", *_NUMBERS)


def check_retries(step: Step) -> Iterator[str]:
    """Yields the problems of a step's retry policies."""
    policies = step.retry_policies
    where = f"step `{step.name}`, RetryPolicies"
    if policies and not step.is_job:
        yield f"{where}: a {step.type} step runs no job to retry; remove them"
    if not isinstance(policies, list):
        yield f"{where}: expected a list"
        return
    seen: set[str] = set()
    for index, policy in enumerate(policies):
        yield from _check_policy(policy, f"{where}[{index}]", seen)


def _check_policy(policy: Any, where: str, seen: set[str]) -> Iterator[str]:
    if not isinstance(policy, Mapping):
        yield f"{where}: expected an object"
        return
    for key in policy:
        if key not in _KEYS:
            yield f"{where}: unknown key `{key}`; {allowed(key, _KEYS)}"
    yield from _check_exceptions(policy.get("ExceptionType"), f"{where}.ExceptionType", seen)
    for key, (minimum, maximum, integer) in _NUMBERS.items():
        if key in policy and not _fits(policy[key], minimum, maximum, integer=integer):
            kind = "a whole number" if integer else "a number"
            limit = (
                f"of {minimum:g} or more"
                if maximum == float("inf")
                else f"from {minimum:g} to {maximum:g}"
            )
            yield f"{where}.{key}: {policy[key]!r}; allowed: {kind} {limit}"
    if ("MaxAttempts" in policy) == ("ExpireAfterMin" in policy):
        yield f"{where}: give one of MaxAttempts and ExpireAfterMin, which end the attempts"


def _check_exceptions(names: Any, where: str, seen: set[str]) -> Iterator[str]:
    if not isinstance(names, list) or not names:
        yield f"{where}: expected a list of exceptions; allowed: {', '.join(_EXCEPTIONS)}"
        return
    for name in names:
        if name not in _EXCEPTIONS:
            yield f"{where}: `{name}` is not known; allowed: {', '.join(_EXCEPTIONS)}"
        elif name in seen:
            yield f"{where}: an earlier policy of the step is for `{name}` already"
        seen.add(str(name))


def _fits(value: Any, minimum: float, maximum: float, *, integer: bool) -> bool:
    kinds = (int,) if integer else (int, float)
    return isinstance(value, kinds) and not isinstance(value, bool) and minimum <= value <= maximum
