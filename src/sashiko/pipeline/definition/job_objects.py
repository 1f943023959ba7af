"""The S3 URIs that the jobs of a definition read and write, for the policies of their roles."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from sashiko.pipeline.definition.definition_records import Definition
from sashiko.pipeline.definition.graph import resolved_steps

_S3 = "s3://"


@dataclass(frozen=True)
class JobObjects:
    """The S3 URIs of one job's request, with `*` for values that are known at run time only."""

    step: str
    role: str
    reads: tuple[str, ...]  # its inputs, and its checkpoints, from which an interrupted job resumes
    writes: tuple[str, ...]
    # URIs in its container arguments, which other principals may read or write, by the argument
    # before each, such as `--test-uri`.
    arguments: Mapping[str, str]


def job_objects(definition: Definition) -> tuple[JobObjects, ...]:
    """Returns the S3 URIs of each job of a definition.

    Raises:
        InputError: if the definition's references are wrong.
    """
    return tuple(
        JobObjects(
            step=step.name,
            role=str(arguments["RoleArn"]),
            reads=tuple(_uris([*_inputs(arguments), *_checkpoints(arguments)])),
            writes=tuple(_uris([*_outputs(arguments), *_checkpoints(arguments)])),
            arguments=_named_uris(
                arguments.get("AppSpecification", {}).get("ContainerArguments", ())
            ),
        )
        for step, arguments in resolved_steps(definition)
        if step.is_job
    )


def _inputs(arguments: Mapping[str, Any]) -> Iterator[str]:
    for item in arguments.get("ProcessingInputs", ()):
        if "S3Input" in item:
            yield item["S3Input"]["S3Uri"]
    for item in arguments.get("InputDataConfig", ()):
        yield item["DataSource"]["S3DataSource"]["S3Uri"]


def _outputs(arguments: Mapping[str, Any]) -> Iterator[str]:
    for item in arguments.get("ProcessingOutputConfig", {}).get("Outputs", ()):
        yield item["S3Output"]["S3Uri"]
    if "OutputDataConfig" in arguments:
        yield arguments["OutputDataConfig"]["S3OutputPath"]


def _checkpoints(arguments: Mapping[str, Any]) -> Iterator[str]:
    if "CheckpointConfig" in arguments:
        yield arguments["CheckpointConfig"]["S3Uri"]


def _named_uris(arguments: Sequence[Any]) -> Mapping[str, str]:
    return {
        str(name): value.rstrip("/")
        for name, value in pairwise(arguments)
        if isinstance(value, str) and value.startswith(_S3)
    }


def _uris(values: Sequence[Any]) -> Iterator[str]:
    for value in values:
        if isinstance(value, str) and value.startswith(_S3):
            yield value.rstrip("/")
