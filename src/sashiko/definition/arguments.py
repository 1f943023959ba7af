"""The typed arguments of a job, and what can be asked of them."""

from collections.abc import Sequence
from typing import Any

from sashiko.definition.model import Step
from sashiko.definition.processing_arguments import ProcessingArguments, ProcessingOutput
from sashiko.definition.training_arguments import TrainingArguments
from sashiko.errors import InputError
from sashiko.yaml_models import validate

JobArguments = ProcessingArguments | TrainingArguments


def job_arguments(step: Step, resolved: Any) -> JobArguments:
    """Reads the resolved arguments of a Processing or Training step.

    Raises:
        InputError: for a key or a value that cannot be honoured here, naming step and path.
    """
    source = f"step `{step.name}`, Arguments"
    if step.type == "Training":
        training = validate(TrainingArguments, resolved, source=source)
        _check_unique([item.ChannelName for item in training.InputDataConfig], source=source)
        return training
    arguments = validate(ProcessingArguments, resolved, source=source)
    names = [output.OutputName for output in outputs_of(arguments)]
    _check_unique(names, source=source)
    _check_unique([item.InputName for item in arguments.ProcessingInputs], source=source)
    for file in step.property_files:
        if file.output not in names:
            raise InputError(
                f"step `{step.name}`, PropertyFiles: `{file.name}` names output `{file.output}`; "
                f"the step has: {', '.join(names) or 'none'}"
            )
    return arguments


def _check_unique(names: Sequence[str], *, source: str) -> None:
    for name in names:
        if names.count(name) > 1:
            raise InputError(f"{source}: two inputs, outputs or channels are named `{name}`")


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
