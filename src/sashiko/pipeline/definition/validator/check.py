"""A whole definition, judged offline: `sashiko definition --check`, and whoever deploys one."""

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


@dataclass(frozen=True)
class Checked:
    """How much was looked at, and found to be right."""

    steps: int
    arguments: int


def check_definition(value: Any) -> Checked:
    """Checks a definition against SageMaker's API, references and all; no call is made.

    Args:
        value: the definition's JSON value.

    Raises:
        InputError: one line per problem, each with step, path, what is wrong, and what is allowed
            or the fix. A definition that cannot be read any further has one line.
    """
    definition = parse_definition(value)
    context = known_values(definition)
    judged = [
        outcome
        for step in definition.steps
        for outcome in check_step(step, definition, context=context)
    ]
    # The graph has a problem of its own only where steps wait for each other in a circle.
    lines = [
        *check_version(value),
        *_check_parameters(definition),
        *_check_experiment(definition, context),
        *(line for line in judged if line is not None),
        *problem_of(build_graph, definition),
    ]
    if lines:
        raise InputError("\n".join(dict.fromkeys(lines)))
    return Checked(steps=len(definition.steps), arguments=len(judged))


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
