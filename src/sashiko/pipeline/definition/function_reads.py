"""The S3 objects that a definition's Lambda steps pass to their functions."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sashiko.errors import InputError
from sashiko.pipeline.definition.definition_records import Definition, Step
from sashiko.pipeline.definition.expressions import step_references
from sashiko.pipeline.definition.resolution import resolved_steps


@dataclass(frozen=True)
class FunctionRead:
    """An S3 object that a Lambda step passes to its function."""

    function: str
    uri: str  # S3 URI, with `*` for values that are known at run time only
    key: str  # KMS key of the job that writes the object, as in the definition; "" if it has none


def function_reads(definition: Definition) -> tuple[FunctionRead, ...]:
    """Returns the S3 objects in the arguments of Lambda steps, each once, in order.

    Raises:
        InputError: if a reference is wrong, or an argument combines the outputs of several steps.
    """
    steps = {step.name: step for step in definition.steps}
    reads: list[FunctionRead] = []
    for step, resolved in resolved_steps(definition):
        if step.type == "Lambda":
            reads += _reads(step, resolved, steps, where=f"step `{step.name}`, Arguments")
    return tuple(dict.fromkeys(reads))


def _reads(
    step: Step, resolved: Mapping[str, Any], steps: Mapping[str, Step], *, where: str
) -> Iterator[FunctionRead]:
    for name, value in step.arguments.items():
        uri = resolved[name]
        if not (isinstance(uri, str) and uri.startswith("s3://")):
            continue
        writers = {step for step, _ in step_references(value, where=f"{where}.{name}")}
        if len(writers) > 1:
            raise InputError(f"{where}.{name}: one URI made of outputs of {', '.join(writers)}")
        keys = [_output_key(steps[writer].arguments) for writer in writers]
        yield FunctionRead(function=step.function, uri=uri, key=keys[0] if keys else "")


def _output_key(arguments: Mapping[str, Any]) -> str:
    for config in ("ProcessingOutputConfig", "OutputDataConfig"):
        if key := arguments.get(config, {}).get("KmsKeyId"):
            return str(key)
    return ""
