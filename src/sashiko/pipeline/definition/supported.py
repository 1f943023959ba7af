"""Refuses definitions that this machine cannot run correctly, before anything runs."""

import re
from collections.abc import Collection, Mapping
from typing import Any

from sashiko.errors import InputError
from sashiko.pipeline.definition.arguments import image_of, job_arguments, output_uris
from sashiko.pipeline.definition.definition_records import Definition, Step
from sashiko.pipeline.definition.durations import check_expiry
from sashiko.pipeline.definition.properties import job_name
from sashiko.pipeline.definition.resolution import resolve_steps

_NAME = re.compile(r"[A-Za-z0-9](-*[A-Za-z0-9]){0,63}")


def check_supported(
    definition: Definition,
    *,
    parameters: Mapping[str, Any],
    execution: Mapping[str, str],
    images: Collection[str],
    functions: Collection[str] = (),
) -> None:
    """Checks every step in the order of a run, with the images and functions known here.

    Raises:
        InputError: for the first unsupported value, naming step and path.
    """

    def name_of(step: str) -> str:
        return job_name(execution["PipelineExecutionId"], step)

    writers: dict[str, tuple[str, Step]] = {}
    for step, resolved in resolve_steps(
        definition, parameters=parameters, execution=execution, job_name=name_of
    ):
        if not _NAME.fullmatch(step.name):
            raise InputError(f"step `{step.name}`: a name is letters, digits and single hyphens")
        if step.is_job:
            arguments = job_arguments(step, resolved)
            _check_known(step, image_of(arguments), images, what="command for the image")
            check_expiry(step)
            for uri in output_uris(arguments, job=name_of(step.name)):
                _check_output(uri, step, writers)
        else:
            _check_known(step, step.function, functions, what="function for")


def _check_known(step: Step, value: str, known: Collection[str], *, what: str) -> None:
    if value not in known:
        names = ", ".join(sorted(known)) or "none"
        raise InputError(f"step `{step.name}`: no local {what} `{value}`; known: {names}")


def _check_output(uri: str, step: Step, writers: dict[str, tuple[str, Step]]) -> None:
    """Refuses nested outputs: an output replaces its whole prefix."""
    prefix = uri.rstrip("/") + "/"
    for other_prefix, (other_uri, writer) in writers.items():
        if prefix.startswith(other_prefix) or other_prefix.startswith(prefix):
            raise InputError(
                f"step `{step.name}` writes {uri} and step `{writer.name}` writes {other_uri}: "
                "one would replace the other; give each output a prefix of its own"
            )
    writers[prefix] = (uri, step)
