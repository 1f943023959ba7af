"""Validates a whole definition offline, for `sashiko definition --check` and for deployments."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sashiko.errors import InputError
from sashiko.pipeline.definition.expressions import Context, resolve
from sashiko.pipeline.definition.graph import build_graph
from sashiko.pipeline.definition.model import Definition, parse_definition
from sashiko.pipeline.definition.parameters import check_parameter
from sashiko.pipeline.definition.validator.api import shape
from sashiko.pipeline.definition.validator.arguments import check_value
from sashiko.pipeline.definition.validator.limits import limit_problem
from sashiko.pipeline.definition.validator.pipeline_rules import check_version
from sashiko.pipeline.definition.validator.steps import check_step, known_values, problem_of

__all__ = ["check_definition"]


@dataclass(frozen=True)
class CheckedCounts:
    """The numbers of steps and arguments that were checked."""

    steps: int
    arguments: int


def check_definition(value: Any) -> CheckedCounts:
    """Checks a definition, with its references, against SageMaker's API, without a call to AWS.

    Args:
        value: the definition's JSON value.

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
        *check_version(value),
        *_check_parameters(definition),
        *_check_experiment(definition, context),
        *(line for line in outcomes if line is not None),
        *problem_of(build_graph, definition),
    ]
    if lines:
        raise InputError("\n".join(dict.fromkeys(lines)))
    return CheckedCounts(steps=len(definition.steps), arguments=len(outcomes))


def _check_parameters(definition: Definition) -> Iterator[str]:
    for parameter in definition.parameters:
        if problem := limit_problem(parameter.name, shape("PipelineParameterName")):
            yield f"parameter `{parameter.name}`, Name: {problem}"
        yield from problem_of(check_parameter, parameter)


def _check_experiment(definition: Definition, context: Context) -> Iterator[str]:
    def resolved(value: Any, where: str) -> Any:
        return resolve(value, context, where=where)

    for key, value in definition.experiment.items():
        where = f"definition, PipelineExperimentConfig.{key}"
        name = shape("ExperimentEntityName")
        for problem in check_value(value, name, where=where, resolve=resolved):
            if problem is not None:
                yield problem
