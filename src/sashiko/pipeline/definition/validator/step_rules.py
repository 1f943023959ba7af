"""A step's retry policies, and what the API and Lambda say of a Lambda step's function.

https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_LambdaStepMetadata.html: an ARN of up
to 256 characters, up to 50 output parameters.

No shape of the API describes retry policies, the developer guide does:
https://docs.aws.amazon.com/sagemaker/latest/dg/pipelines-retry-policy.html, read 2026-11-25.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import regex

from sashiko.pipeline.definition.model import Step
from sashiko.pipeline.definition.validator.limits import allowed

# FunctionArn of Lambda's API, with a version or an alias or without.
_ARN = regex.compile(
    r"arn:(aws[a-zA-Z-]*):lambda:[a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\d:\d{12}"
    r":function:[a-zA-Z0-9-_]+(:(\$LATEST|[a-zA-Z0-9-_]+))?"
)
_LONGEST_ARN = 256
_MOST_OUTPUTS = 50


def check_function(step: Step) -> Iterator[str]:
    """Yields what is wrong with the function that a Lambda step calls, and with what it returns.

    Args:
        step: a Lambda step.
    """
    where = f"step `{step.name}`"
    if not _ARN.fullmatch(step.function) or len(step.function) > _LONGEST_ARN:
        yield (
            f"{where}, FunctionArn: `{step.function}` is no function's ARN; expected "
            "arn:aws:lambda:<region>:<account>:function:<name>"
        )
    if len(step.returned) > _MOST_OUTPUTS:
        yield f"{where}, OutputParameters: {len(step.returned)}; allowed: up to {_MOST_OUTPUTS}"
    for name, times in Counter(item.name for item in step.returned).items():
        if times > 1:
            yield f"{where}, OutputParameters: two of them are named `{name}`"
    if step.property_files:
        yield f"{where}, PropertyFiles: a Lambda step has none; read OutputParameters instead"


_EXCEPTIONS = (
    "Step.SERVICE_FAULT", "Step.THROTTLING", "SageMaker.JOB_INTERNAL_ERROR",
    "SageMaker.CAPACITY_ERROR", "SageMaker.RESOURCE_LIMIT",
)  # fmt: skip
# Key -> the least and the most, which of them are whole numbers; the least wait and rate are ours.
_NUMBERS: Mapping[str, tuple[float, float, bool]] = {
    "IntervalSeconds": (1, 43_200, True),
    "BackoffRate": (1, float("inf"), False),
    "MaxAttempts": (1, 20, True),
    "ExpireAfterMin": (1, 14_400, True),
}
_KEYS = ("ExceptionType", *_NUMBERS)


def check_retries(step: Step) -> Iterator[str]:
    """Yields what is wrong with a step's retry policies.

    Args:
        step: any step; only jobs may have policies.
    """
    policies = step.retry_policies
    where = f"step `{step.name}`, RetryPolicies"
    if policies and not step.is_job:
        yield f"{where}: a {step.type} step runs no job that could be tried again; take them away"
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
    for key, (least, most, whole) in _NUMBERS.items():
        if key in policy and not _fits(policy[key], least, most, whole=whole):
            kind = "a whole number" if whole else "a number"
            limit = (
                f"of {least:g} or more" if most == float("inf") else f"from {least:g} to {most:g}"
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


def _fits(value: Any, least: float, most: float, *, whole: bool) -> bool:
    kinds = (int,) if whole else (int, float)
    return isinstance(value, kinds) and not isinstance(value, bool) and least <= value <= most
