"""The rules of SageMaker Pipelines outside the jobs: version, messages, operands.

Sources are pages of the SageMaker Developer Guide and API Reference, below
https://docs.aws.amazon.com/sagemaker/latest/; each rule cites its own.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from sashiko.errors import InputError
from sashiko.pipeline.definition.expressions import is_expression
from sashiko.pipeline.definition.model import Step
from sashiko.pipeline.definition.validator.api import shape
from sashiko.pipeline.definition.validator.arguments import Resolve
from sashiko.pipeline.definition.validator.limits import limit_problem
from sashiko.pipeline.definition.validator.unknown import without_stand_ins

# The only version: dg/build-and-manage-pipeline, "Define a pipeline", links its JSON schema, and
# the SDK writes it (sagemaker.mlops.workflow.pipeline).
VERSION = "2020-12-01"


def check_version(value: Mapping[str, Any]) -> Iterator[str]:
    """Yields the problem of the version of a definition's schema.

    Args:
        value: the definition's JSON value.
    """
    if "Version" not in value:
        yield f'definition: key `Version` is missing; it is "{VERSION}"'
    elif value["Version"] != VERSION:
        yield f'definition, Version: {value["Version"]!r} is not known; allowed: "{VERSION}"'


def check_message(step: Step, *, resolve: Resolve) -> Iterator[str]:
    """Yields the problems of a Fail step's message.

    Values of a run count as empty: the message is at least as long as the known part.
    APIReference/API_FailStepMetadata, `ErrorMessage`: at most 3,072 characters.

    Args:
        step: a step of any type.
        resolve: returns the value of an expression, or a stand-in.
    """
    if step.type != "Fail" or "ErrorMessage" not in step.arguments:
        return
    where = f"step `{step.name}`, Arguments.ErrorMessage"
    message = step.arguments["ErrorMessage"]
    if is_expression(message):
        try:
            message = resolve(message, where)
        except InputError:  # the check of the argument itself reports it
            return
    if not isinstance(message, str):
        yield f"{where}: expected text"
    else:
        limit = shape("FailStepMetadata").members["ErrorMessage"]
        if problem := limit_problem(without_stand_ins(message), limit):
            yield f"{where}: {problem}; shorten it and put the details in the step's log"


def check_operands(step: Step) -> Iterator[str]:
    """Yields the operands of conditions that are lists or objects.

    dg/build-and-manage-steps-types, "Condition step": an operand is a primitive, a parameter, a
    property or an execution variable; only `In` takes a list of these.

    Args:
        step: a step of any type.
    """
    if step.type == "Condition":
        where = f"step `{step.name}`, Arguments.Conditions"
        yield from _operands(step.arguments.get("Conditions"), where=where)


def _operands(conditions: Any, *, where: str) -> Iterator[str]:
    for index, condition in enumerate(conditions if isinstance(conditions, list) else ()):
        yield from _operands_of(condition, where=f"{where}[{index}]")


def _operands_of(condition: Any, *, where: str) -> Iterator[str]:
    if not isinstance(condition, Mapping):
        return
    for key in ("LeftValue", "RightValue", "QueryValue"):
        if key in condition:
            yield from _operand(condition[key], where=f"{where}.{key}")
    values = condition.get("Values")
    for index, value in enumerate(values if isinstance(values, list) else ()):
        yield from _operand(value, where=f"{where}.Values[{index}]")
    if "Condition" in condition:
        yield from _operands_of(condition["Condition"], where=f"{where}.Condition")
    yield from _operands(condition.get("Conditions"), where=f"{where}.Conditions")


def _operand(value: Any, *, where: str) -> Iterator[str]:
    if isinstance(value, list | Mapping) and not is_expression(value):
        kind = "a list" if isinstance(value, list) else "an object"
        yield (
            f"{where}: expected a single value or an expression, got {kind}; compare with one "
            "value, or use the condition In"
        )
