"""Checks a step of a definition: its arguments and their references."""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from sashiko.errors import InputError
from sashiko.pipeline.definition import expressions
from sashiko.pipeline.definition.arguments import check_names
from sashiko.pipeline.definition.durations import check_expiry
from sashiko.pipeline.definition.graph import awaited_steps, referred_step
from sashiko.pipeline.definition.model import Definition, Step
from sashiko.pipeline.definition.parameters import fits
from sashiko.pipeline.definition.validator.api import job_api, shape
from sashiko.pipeline.definition.validator.arguments import Resolve, check_value
from sashiko.pipeline.definition.validator.job_rules import check_job_rules
from sashiko.pipeline.definition.validator.limits import limit_problem
from sashiko.pipeline.definition.validator.unknown import describe_step, stand_in

# The SDK's ExecutionVariables.
_EXECUTION = (
    "StartDateTime", "CurrentDateTime", "PipelineName", "PipelineArn", "PipelineExecutionId",
    "PipelineExecutionArn", "TrainingJobName", "ProcessingJobName",
)  # fmt: skip
# FunctionArn of Lambda's API, with an optional version or alias; its length is that of
# https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_LambdaStepMetadata.html.
_FUNCTION_ARN = re.compile(
    r"arn:(aws[a-zA-Z-]*):lambda:[a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\d:\d{12}"
    r":function:[a-zA-Z0-9-_]+(:(\$LATEST|[a-zA-Z0-9-_]+))?"
)
_MAX_ARN_LENGTH = 256


def known_values(definition: Definition) -> expressions.Context:
    """Returns the values of expressions before a run: defaults, and stand-ins."""
    properties = {step.name: describe_step(step) for step in definition.steps if step.is_job}
    return expressions.Context(
        parameters={
            item.name: item.default
            if fits(item.type, item.default)
            else stand_in(item.type.lower())
            for item in definition.parameters
        },
        execution={name: stand_in("string") for name in _EXECUTION},
        describe=properties.__getitem__,
    )


def check_step(
    step: Step, definition: Definition, *, context: expressions.Context
) -> Iterator[str | None]:
    """Yields the problems of a step, and None for each correct argument."""

    def resolve(value: Any, where: str) -> Any:
        for name, place in expressions.step_references(value, where=where):
            referred_step(name, definition, where=place)
        return expressions.resolve(value, context, where=where)

    where = f"step `{step.name}`"
    if problem := limit_problem(step.name, shape("StepName")):
        yield f"{where}, Name: {problem}"
    yield from problem_of(awaited_steps, step, definition)
    yield from problem_of(check_expiry, step)
    if step.is_job:
        yield from _check_job(step, where=f"{where}, Arguments", resolve=resolve)
    else:
        if not _FUNCTION_ARN.fullmatch(step.function) or len(step.function) > _MAX_ARN_LENGTH:
            yield (
                f"{where}, FunctionArn: `{step.function}` is not a function ARN; expected "
                "arn:aws:lambda:<region>:<account>:function:<name>"
            )
        yield from _check_expressions(step.arguments, where=f"{where}, Arguments", resolve=resolve)


def problem_of(check: Callable[..., object], *values: Any, **options: Any) -> Iterator[str]:
    """Yields the message of a check's InputError, if it raises one."""
    try:
        check(*values, **options)
    except InputError as error:
        yield str(error)


def _check_job(step: Step, *, where: str, resolve: Resolve) -> Iterator[str | None]:
    api = job_api(step.type)
    optional = frozenset({api.name})
    yield from check_value(
        step.arguments, api.create, where=where, resolve=resolve, optional=optional
    )
    yield from problem_of(check_names, step, step.arguments)
    yield from check_job_rules(step, resolve=resolve)
    if "ExperimentConfig" in step.arguments:
        yield f"{where}.ExperimentConfig: not supported; MLflow tracks the runs: remove it"


def _check_expressions(value: Any, *, where: str, resolve: Resolve) -> Iterator[str | None]:
    if expressions.is_expression(value):
        try:
            resolve(value, where)
            yield None
        except InputError as error:
            yield str(error)
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from _check_expressions(item, where=f"{where}.{key}", resolve=resolve)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _check_expressions(item, where=f"{where}[{index}]", resolve=resolve)
