"""The function that evaluates the pipelines' gates: it only reads the verdicts that they name."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from aws_cdk import Duration, RemovalPolicy
from aws_cdk import aws_kms as kms
from constructs import Construct

from sashiko.account.names import function_arn
from sashiko.errors import InputError
from sashiko.pipeline.definition.definition_records import Definition, Step, parse_definition
from sashiko.pipeline.definition.expressions import step_references
from sashiko.pipeline.definition.graph import resolved_steps
from sashiko.settings.environment import Settings
from sashiko_cdk.functions.python_function import PythonFunction
from sashiko_cdk.identity.allow import Allowed, allow
from sashiko_cdk.identity.role_policy import RolePolicy
from sashiko_cdk.lake.objects import decrypt_objects
from sashiko_cdk.pipeline.compiled_pipeline import Compiled

__all__ = ["Gatekeeper"]

_EXECUTIONS = "Executions are named when they start; each step's files that a gate reads are here."


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


class Gatekeeper(Construct):
    """The function, and its role's policy, which follows from the definitions."""

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        settings: Settings,
        pipelines: Sequence[Compiled],
        values: Mapping[str, str],
        key: kms.IKey,
        removal_policy: RemovalPolicy,
    ) -> None:
        """`values` has stand-in -> reference to what it stands for, such as a key's ARN."""
        super().__init__(scope, id)
        PythonFunction(
            self,
            "Function",
            settings=settings,
            role="gatekeeper",
            module="sashiko.functions.gatekeeper_handler",
            description="Lets a run of the pipeline go on by its verdicts; it only reads",
            timeout=Duration.minutes(5),
            key=key,
            removal_policy=removal_policy,
        )
        RolePolicy(
            self,
            "Verdicts",
            settings=settings,
            role="gatekeeper",
            description="Reads the verdicts that the gates judge by",
            statements=_statements(settings, pipelines, values),
        )


def _statements(
    settings: Settings, pipelines: Sequence[Compiled], values: Mapping[str, str]
) -> list[Allowed]:
    objects: dict[str, set[str]] = {}  # by the key that they are encrypted with
    for compiled in pipelines:
        for read in function_reads(parse_definition(compiled.definition)):
            if read.function == function_arn(settings, "gatekeeper"):
                objects.setdefault(read.key, set()).add(read.uri.removeprefix("s3://"))
    arns = sorted(f"arn:aws:s3:::{name}" for names in objects.values() for name in names)
    decryption = [
        decrypt_objects(
            settings, values.get(key, key), {name.split("/")[0] for name in objects[key]}
        )
        for key in sorted(objects)
        if key
    ]
    return [allow(["s3:GetObject"], arns, why=_EXECUTIONS), *decryption]
