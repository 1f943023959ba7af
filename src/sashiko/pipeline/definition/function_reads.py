"""Which objects the functions of a definition's Lambda steps are told to read."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sashiko.errors import InputError
from sashiko.pipeline.definition.expressions import step_references
from sashiko.pipeline.definition.model import Definition, Step
from sashiko.pipeline.definition.resolution import resolved_steps


@dataclass(frozen=True)
class FunctionRead:
    """An object that a function is told to read.

    Attributes:
        function: ARN of the function.
        uri: S3 URI; what is known only when the pipeline runs is a `*`.
        key: KMS key of the job that writes the object, as the definition names it; "" if it names
            none.
    """

    function: str
    uri: str
    key: str


def function_reads(definition: Definition) -> tuple[FunctionRead, ...]:
    """Returns what the arguments of Lambda steps point to in S3, each once, in order.

    Raises:
        InputError: if the definition's references are wrong, or an argument of a Lambda step is a
            part of several steps' outputs.
    """
    steps = {step.name: step for step in definition.steps}
    found: list[FunctionRead] = []
    for step, resolved in resolved_steps(definition):
        if step.type == "Lambda":
            found += _reads(step, resolved, steps, where=f"step `{step.name}`, Arguments")
    return tuple(dict.fromkeys(found))


def _reads(
    step: Step, resolved: Mapping[str, Any], steps: Mapping[str, Step], *, where: str
) -> Iterator[FunctionRead]:
    for name, value in step.arguments.items():
        uri = resolved[name]
        if not (isinstance(uri, str) and uri.startswith("s3://")):
            continue
        writers = {item.step for item in step_references(value, where=f"{where}.{name}")}
        if len(writers) > 1:
            raise InputError(f"{where}.{name}: one URI made of outputs of {', '.join(writers)}")
        keys = [_output_key(steps[writer].arguments) for writer in writers]
        yield FunctionRead(function=step.function, uri=uri, key=keys[0] if keys else "")


def _output_key(arguments: Mapping[str, Any]) -> str:
    for config in ("ProcessingOutputConfig", "OutputDataConfig"):
        if key := arguments.get(config, {}).get("KmsKeyId"):
            return str(key)
    return ""
