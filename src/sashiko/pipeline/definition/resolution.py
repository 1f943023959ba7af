"""A definition's jobs and functions with their expressions resolved, in the order of a run."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from sashiko.errors import InputError
from sashiko.pipeline.definition.definition_records import Definition, Parameter, Step
from sashiko.pipeline.definition.expressions import Context, as_text, resolve
from sashiko.pipeline.definition.graph import build_graph
from sashiko.pipeline.definition.properties import describe_job

UNKNOWN = "*"
# These differ between executions.
_EXECUTION = ("PipelineExecutionId", "PipelineExecutionArn", "StartDateTime", "CurrentDateTime")


def resolve_steps(
    definition: Definition,
    *,
    parameters: Mapping[str, Any],
    execution: Mapping[str, str],
    job_name: Callable[[str], str],
) -> Iterator[tuple[Step, Mapping[str, Any]]]:
    """Yields each step with its arguments; a job's properties follow from its arguments.

    Raises:
        InputError: if the definition's references are wrong.
    """
    descriptions: dict[str, Mapping[str, Any]] = {}
    context = Context(parameters, execution, describe=descriptions.__getitem__)
    steps = {step.name: step for step in definition.steps}
    for name in build_graph(definition).order:
        step = steps[name]
        where = f"step `{name}`, Arguments"
        resolved = resolve(step.arguments, context, where=where)
        if not isinstance(resolved, dict):
            raise InputError(f"{where}: expected an object, got {type(resolved).__name__}")
        if step.is_job:
            descriptions[name] = describe_job(step.type, name=job_name(name), arguments=resolved)
        yield step, resolved


def resolved_steps(definition: Definition) -> Iterator[tuple[Step, Mapping[str, Any]]]:
    """Yields each step with its arguments as known before a run: values of a run become `*`.

    Parameters have their default values, and `*` without one.

    Raises:
        InputError: if the definition's references are wrong.
    """
    return resolve_steps(
        definition,
        parameters={parameter.name: _value(parameter) for parameter in definition.parameters},
        execution=dict.fromkeys(_EXECUTION, UNKNOWN),
        job_name=lambda _step: UNKNOWN,
    )


def _value(parameter: Parameter) -> str:
    if parameter.default is None:
        return UNKNOWN
    return as_text(parameter.default, where=f"parameter `{parameter.name}`")
