"""Refuses definitions that this machine cannot run correctly, before anything runs."""

import re
from collections.abc import Collection, Mapping
from typing import Any

from sashiko.errors import InputError
from sashiko.pipeline.definition.arguments import JobArguments, image_of, job_arguments, output_uris
from sashiko.pipeline.definition.conditions import check_conditions
from sashiko.pipeline.definition.durations import check_expiry
from sashiko.pipeline.definition.expressions import Context, resolve
from sashiko.pipeline.definition.graph import Graph, build_graph
from sashiko.pipeline.definition.model import Definition, Step
from sashiko.pipeline.definition.properties import describe_function, describe_job, job_name

_UNKNOWN = "s3://unknown/until-the-step-has-run"
_NAME = re.compile(r"[A-Za-z0-9](-*[A-Za-z0-9]){0,63}")


def check_supported(
    definition: Definition,
    *,
    parameters: Mapping[str, Any],
    execution: Mapping[str, str],
    images: Collection[str],
    functions: Collection[str] = (),
) -> Graph:
    """Checks every step in the order of a run, with placeholders for values of the run.

    Args:
        definition: the definition.
        parameters: name -> typed value, from `parameter_values`.
        execution: execution variable -> value.
        images: the image URIs with a local command.
        functions: the ARNs of the Lambda functions with a local implementation.

    Returns:
        The dependencies of the steps.

    Raises:
        InputError: for the first unsupported value, naming step and path.
    """
    graph = build_graph(definition)
    descriptions: dict[str, Mapping[str, Any]] = {}
    writers: dict[str, tuple[str, Step]] = {}
    context = Context(
        parameters=parameters,
        execution=execution,
        describe=descriptions.__getitem__,
        read_file=_unknown_content,
    )
    for name in graph.order:
        step = definition.step(name)
        if step is None:
            continue
        where = f"step `{step.name}`, Arguments"
        if not _NAME.fullmatch(step.name):
            raise InputError(f"step `{step.name}`: a name is letters, digits and single hyphens")
        if step.type == "Condition":
            check_conditions(step.arguments["Conditions"], where=f"{where}.Conditions")
        resolved = resolve(step.arguments, context, where=where)
        if step.is_job:
            job = job_name(execution["PipelineExecutionId"], step.name)
            arguments = _check_job(step, resolved, images=images)
            for uri in output_uris(arguments, job=job):
                _check_output(uri, step, writers)
            descriptions[step.name] = describe_job(step.type, name=job, arguments=resolved)
        if step.type == "Lambda":
            _check_function(step, functions)
            unknown = {item.name: _UNKNOWN for item in step.output_parameters}
            descriptions[step.name] = describe_function(unknown)
    return graph


def _check_function(step: Step, functions: Collection[str]) -> None:
    if step.function not in functions:
        known = ", ".join(sorted(functions)) or "none"
        raise InputError(
            f"step `{step.name}`: no local function for `{step.function}`; known: {known}"
        )


def _check_job(step: Step, resolved: Any, *, images: Collection[str]) -> JobArguments:
    arguments = job_arguments(step, resolved)
    image = image_of(arguments)
    if image not in images:
        known = ", ".join(sorted(images)) or "none"
        raise InputError(
            f"step `{step.name}`: no local command for the image `{image}`; known: {known}"
        )
    check_expiry(step)
    return arguments


def _check_output(uri: str, step: Step, writers: dict[str, tuple[str, Step]]) -> None:
    """Refuses nested outputs: an output replaces its whole prefix."""
    prefix = uri.rstrip("/") + "/"
    for other_prefix, (other_uri, writer) in writers.items():
        nested = prefix.startswith(other_prefix) or other_prefix.startswith(prefix)
        if nested and not _exclude_each_other(step, writer) and _UNKNOWN not in (uri, other_uri):
            raise InputError(
                f"step `{step.name}` writes {uri} and step `{writer.name}` writes {other_uri}: "
                "one would replace the other; give each output a prefix of its own"
            )
    writers[prefix] = (uri, step)


def _exclude_each_other(one: Step, other: Step) -> bool:
    if one.branch is None or other.branch is None:
        return False
    return one.branch.condition == other.branch.condition and one.branch != other.branch


def _unknown_content(_step: str, _file: str, _path: str) -> str:
    """Returns a placeholder for file content of the run; it is valid as an S3 URI too."""
    return _UNKNOWN
