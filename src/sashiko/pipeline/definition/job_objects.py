"""The S3 URIs that the jobs of a definition read and write, for the policies of their roles."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from sashiko.pipeline.definition.definition_records import Definition
from sashiko.pipeline.definition.graph import resolved_steps


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
    jobs = []
    for step, arguments in resolved_steps(definition):
        if not step.is_job:
            continue
        inputs = [item.get("S3Input") for item in arguments.get("ProcessingInputs", ())]
        channels = arguments.get("InputDataConfig", ())
        inputs += [channel["DataSource"]["S3DataSource"] for channel in channels]
        outputs = arguments.get("ProcessingOutputConfig", {}).get("Outputs", ())
        model = arguments.get("OutputDataConfig", {}).get("S3OutputPath")
        written = [*(item["S3Output"]["S3Uri"] for item in outputs), model]
        checkpoints = arguments.get("CheckpointConfig", {}).get("S3Uri")
        words = arguments.get("AppSpecification", {}).get("ContainerArguments", ())
        named = {str(name): uri for name, word in pairwise(words) for uri in _uris([word])}
        jobs.append(
            JobObjects(
                step=step.name,
                role=str(arguments["RoleArn"]),
                reads=tuple(_uris([*(item["S3Uri"] for item in inputs if item), checkpoints])),
                writes=tuple(_uris([*written, checkpoints])),
                arguments=named,
            )
        )
    return tuple(jobs)


def _uris(values: Sequence[Any]) -> Iterator[str]:
    for value in values:
        if isinstance(value, str) and value.startswith("s3://"):
            yield value.rstrip("/")
