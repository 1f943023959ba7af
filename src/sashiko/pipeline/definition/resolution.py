"""A definition's steps with their expressions resolved, as far as possible before a run."""

from collections.abc import Iterator, Mapping
from typing import Any

from sashiko.pipeline.definition.expressions import Context, as_text, resolve
from sashiko.pipeline.definition.graph import build_graph
from sashiko.pipeline.definition.model import Definition, Parameter, Step
from sashiko.pipeline.definition.properties import describe_function, describe_job

UNKNOWN = "*"
# These differ between executions.
_EXECUTION = ("PipelineExecutionId", "PipelineExecutionArn", "StartDateTime", "CurrentDateTime")


def resolved_steps(definition: Definition) -> Iterator[tuple[Step, Mapping[str, Any]]]:
    """Yields each job and Lambda step with its arguments; values of a run become `*`.

    Parameters have their default values, and `*` without one.

    Raises:
        InputError: if the definition's references are wrong.
    """
    descriptions: dict[str, Mapping[str, Any]] = {}
    context = Context(
        parameters={parameter.name: _value(parameter) for parameter in definition.parameters},
        execution=dict.fromkeys(_EXECUTION, UNKNOWN),
        describe=descriptions.__getitem__,
        read_file=lambda _step, _file, _path: UNKNOWN,
    )
    steps = {step.name: step for step in definition.steps}
    for name in build_graph(definition).order:
        step = steps[name]
        if not (step.is_job or step.type == "Lambda"):
            continue
        resolved = resolve(step.arguments, context, where=f"step `{name}`, Arguments")
        if step.is_job:
            descriptions[name] = describe_job(step.type, name=UNKNOWN, arguments=resolved)
        else:
            descriptions[name] = describe_function(
                dict.fromkeys((item.name for item in step.output_parameters), UNKNOWN)
            )
        yield step, resolved


def _value(parameter: Parameter) -> str:
    if parameter.default is None:
        return UNKNOWN
    return as_text(parameter.default, where=f"parameter `{parameter.name}`")
