"""Refuses, before anything runs, a definition with something that we would get wrong."""

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
    """Goes through every step as a run would, with a stand-in for what only a run can know.

    Args:
        definition: the definition.
        parameters: name -> typed value, from `parameter_values`.
        execution: execution variable -> value.
        images: the image URIs that there is a local command for.
        functions: the ARNs of the Lambda functions that there is a local one for.

    Returns:
        The dependencies of the steps.

    Raises:
        InputError: one message naming step and path, for the first thing that cannot be honoured.
    """
    graph = build_graph(definition)
    described: dict[str, Mapping[str, Any]] = {}
    written: dict[str, tuple[str, Step]] = {}
    context = Context(
        parameters=parameters,
        execution=execution,
        describe=described.__getitem__,
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
                _check_written(uri, step, written)
            described[step.name] = describe_job(step.type, name=job, arguments=resolved)
        if step.type == "Lambda":
            _check_function(step, functions)
            unknown = {item.name: _UNKNOWN for item in step.returned}
            described[step.name] = describe_function(unknown)
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


def _check_written(uri: str, step: Step, written: dict[str, tuple[str, Step]]) -> None:
    """Outputs appear whole, in place of what was there, so none may lie inside another."""
    prefix = uri.rstrip("/") + "/"
    for other, (other_uri, writer) in written.items():
        nested = prefix.startswith(other) or other.startswith(prefix)
        if nested and not _exclude_each_other(step, writer) and _UNKNOWN not in (uri, other_uri):
            raise InputError(
                f"step `{step.name}` writes {uri} and step `{writer.name}` writes {other_uri}: "
                "one would replace the other; give each output a prefix of its own"
            )
    written[prefix] = (uri, step)


def _exclude_each_other(one: Step, other: Step) -> bool:
    if one.branch is None or other.branch is None:
        return False
    return one.branch.condition == other.branch.condition and one.branch != other.branch


def _unknown_content(_step: str, _file: str, _path: str) -> str:
    """Stands for what a step will write: a text that could be anything, an S3 URI too."""
    return _UNKNOWN
