"""The pipelines' functions: one evaluates their gates, one deletes what device checks leave."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from aws_cdk import RemovalPolicy
from aws_cdk import aws_kms as kms
from constructs import Construct

from sashiko.account.names import device_check_prefix, function_arn, prefix
from sashiko.base.function_input import Sweep
from sashiko.errors import InputError
from sashiko.pipeline.definition.definition_records import Definition, parse_definition
from sashiko.pipeline.definition.expressions import step_references
from sashiko.pipeline.definition.graph import resolved_steps
from sashiko.settings.environment import Settings
from sashiko_cdk.events.event_flows import FunctionRule
from sashiko_cdk.functions.python_function import PythonFunction
from sashiko_cdk.identity.allow import RolePolicy, allow
from sashiko_cdk.lake.private_bucket import decrypt_objects
from sashiko_cdk.pipeline.compiled_pipeline import Compiled

__all__ = ["Gatekeeper", "Janitor"]

_EXECUTIONS = "Executions are named when they start; each step's files that a gate reads are here."
# SageMaker kills a stopped job after two minutes; the rest allows for clock skew.
_MARGIN_SECONDS = 600


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
        for name, value in step.arguments.items() if step.type == "Lambda" else ():
            uri, where = resolved[name], f"step `{step.name}`, Arguments.{name}"
            if not (isinstance(uri, str) and uri.startswith("s3://")):
                continue
            writers = {writer for writer, _ in step_references(value, where=where)}
            if len(writers) > 1:
                raise InputError(f"{where}: one URI made of outputs of {', '.join(writers)}")
            keys = [_output_key(steps[writer].arguments) for writer in writers]
            reads.append(FunctionRead(step.function, uri, keys[0] if keys else ""))
    return tuple(dict.fromkeys(reads))


def _output_key(arguments: Mapping[str, Any]) -> str:
    for config in ("ProcessingOutputConfig", "OutputDataConfig"):
        if key := arguments.get(config, {}).get("KmsKeyId"):
            return str(key)
    return ""


class Gatekeeper(Construct):
    """The function of the gates, which only reads the verdicts that the definitions name."""

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
            self, "Function", settings, "gatekeeper", key=key, removal_policy=removal_policy
        )
        objects: dict[str, set[str]] = {}  # by the key that they are encrypted with
        for compiled in pipelines:
            for read in function_reads(parse_definition(compiled.definition)):
                if read.function == function_arn(settings, "gatekeeper"):
                    objects.setdefault(read.key, set()).add(read.uri.removeprefix("s3://"))
        arns = sorted(f"arn:aws:s3:::{name}" for names in objects.values() for name in names)
        statements = [allow(["s3:GetObject"], arns, why=_EXECUTIONS)]
        for used in sorted(filter(None, objects)):
            buckets = {name.split("/")[0] for name in objects[used]}
            statements.append(decrypt_objects(settings, values.get(used, used), buckets))
        why = "Reads the verdicts that the gates judge by"
        RolePolicy(self, "Verdicts", settings, "gatekeeper", statements, description=why)


class Janitor(Construct):
    """The function that deletes leftovers of checks, hourly: a leftover endpoint costs money."""

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        settings: Settings,
        topic: str,
        key: kms.IKey,
        removal_policy: RemovalPolicy,
    ) -> None:
        super().__init__(scope, id)
        janitor = PythonFunction(
            self, "Function", settings, "janitor", key=key, removal_policy=removal_policy
        )
        longest = settings.jobs.processing.max_runtime + _MARGIN_SECONDS
        sweep = Sweep(prefix=f"{device_check_prefix(settings)}-", older_than=longest, topic=topic)
        FunctionRule(
            self,
            "Hourly",
            settings=settings,
            name=f"{prefix(settings)}-janitor",
            description="Has leftovers of device checks deleted",
            function=janitor.function,
            schedule="rate(1 hour)",
            event=asdict(sweep),
        )
