"""Validates a whole definition offline, for `sashiko definition --check` and for deployments."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sashiko.base.problems import shorten
from sashiko.errors import InputError
from sashiko.pipeline.definition.graph import build_graph, check_gates
from sashiko.pipeline.definition.model import Definition, parse_definition
from sashiko.pipeline.definition.parameters import check_parameter
from sashiko.pipeline.definition.validator.api import shape
from sashiko.pipeline.definition.validator.limits import limit_problem
from sashiko.pipeline.definition.validator.steps import check_step, known_values, problem_of

__all__ = ["check_definition"]

# The only version: dg/build-and-manage-pipeline, "Define a pipeline", links its JSON schema, and
# the SDK writes it (sagemaker.mlops.workflow.pipeline).
_VERSION = "2020-12-01"


@dataclass(frozen=True)
class CheckedCounts:
    """The numbers of steps and arguments that were checked."""

    steps: int
    arguments: int


def check_definition(value: Any) -> CheckedCounts:
    """Checks a definition, with its references, against SageMaker's API, without a call to AWS.

    Raises:
        InputError: one line per problem, each with step, path, problem, and the allowed values or
            the fix. A definition that cannot be parsed has one line.
    """
    definition = parse_definition(value)
    context = known_values(definition)
    outcomes = [
        outcome
        for step in definition.steps
        for outcome in check_step(step, definition, context=context)
    ]
    # Of the graph, only a cycle is a new problem: the other ones are those of steps.
    lines = [
        *_check_version(value),
        *_check_parameters(definition),
        *(line for line in outcomes if line is not None),
        *problem_of(build_graph, definition),
        *problem_of(check_gates, definition),
    ]
    if lines:
        raise InputError("\n".join(dict.fromkeys(lines)))
    return CheckedCounts(steps=len(definition.steps), arguments=len(outcomes))


def _check_version(value: Mapping[str, Any]) -> Iterator[str]:
    if "Version" not in value:
        yield f'definition: key `Version` is missing; it is "{_VERSION}"'
    elif value["Version"] != _VERSION:
        version = shorten(repr(value["Version"]))
        yield f'definition, Version: {version} is not known; allowed: "{_VERSION}"'


def _check_parameters(definition: Definition) -> Iterator[str]:
    for parameter in definition.parameters:
        if problem := limit_problem(parameter.name, shape("PipelineParameterName")):
            yield f"parameter `{parameter.name}`, Name: {problem}"
        yield from problem_of(check_parameter, parameter)
