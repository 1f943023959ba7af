"""The typed arguments of a job, and the values derived from them."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

from sashiko.base.yaml_models import validate
from sashiko.errors import InputError
from sashiko.pipeline.definition.definition_records import Step
from sashiko.pipeline.definition.job_arguments import (
    ProcessingArguments,
    ProcessingOutput,
    TrainingArguments,
)

JobArguments = ProcessingArguments | TrainingArguments


def job_arguments(step: Step, resolved: Any) -> JobArguments:
    """Reads the resolved arguments of a Processing or Training step.

    Raises:
        InputError: for a key or value that is not supported here, naming step and path.
    """
    source = f"step `{step.name}`, Arguments"
    if step.type == "Training":
        arguments: JobArguments = validate(TrainingArguments, resolved, source=source)
    else:
        arguments = validate(ProcessingArguments, resolved, source=source)
    check_names(step, resolved)
    return arguments


def cluster_of(step: Step) -> Mapping[str, Any]:
    """Returns the part of a job's arguments that names its instances."""
    if step.type == "Training":
        cluster: Mapping[str, Any] = step.arguments["ResourceConfig"]
    else:
        cluster = step.arguments["ProcessingResources"]["ClusterConfig"]
    return cluster


def check_names(step: Step, arguments: Mapping[str, Any]) -> None:
    """Checks that names inside a job are unique; values of a wrong shape are ignored here.

    Raises:
        InputError: for a name that is used twice, with step and path.
    """
    where = f"step `{step.name}`, Arguments"
    config = arguments.get("ProcessingOutputConfig")
    outputs = config.get("Outputs") if isinstance(config, Mapping) else None
    for key, items, name in (
        ("ProcessingOutputConfig.Outputs", outputs, "OutputName"),
        ("ProcessingInputs", arguments.get("ProcessingInputs"), "InputName"),
        ("InputDataConfig", arguments.get("InputDataConfig"), "ChannelName"),
    ):
        for text, times in Counter(_names(items, name)).items():
            if times > 1:
                raise InputError(f"{where}.{key}: two of them are named `{text}`")


def _names(items: Any, key: str) -> list[str]:
    if not isinstance(items, list):
        return []
    values = [item.get(key) for item in items if isinstance(item, Mapping)]
    return [name for name in values if isinstance(name, str)]


def outputs_of(arguments: ProcessingArguments) -> tuple[ProcessingOutput, ...]:
    """Returns a processing job's outputs."""
    config = arguments.ProcessingOutputConfig
    return config.Outputs if config else ()


def image_of(arguments: JobArguments) -> str:
    """Returns the URI of the image that a job runs in."""
    if isinstance(arguments, TrainingArguments):
        return arguments.AlgorithmSpecification.TrainingImage
    return arguments.AppSpecification.ImageUri


def output_uris(arguments: JobArguments, *, job: str) -> tuple[str, ...]:
    """Returns the S3 prefixes that a job of that name writes to."""
    if isinstance(arguments, TrainingArguments):
        return (training_prefix(arguments, job=job),)
    return tuple(output.S3Output.S3Uri for output in outputs_of(arguments))


def training_prefix(arguments: TrainingArguments, *, job: str) -> str:
    """Returns the S3 prefix of a training job's `model.tar.gz` and `output.tar.gz`."""
    return f"{arguments.OutputDataConfig.S3OutputPath.rstrip('/')}/{job}/output"
