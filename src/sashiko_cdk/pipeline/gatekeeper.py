"""The function that evaluates the pipelines' gates: it only reads the verdicts that they name."""

from collections.abc import Mapping, Sequence

from aws_cdk import Duration, RemovalPolicy
from aws_cdk import aws_kms as kms
from constructs import Construct

from sashiko.account.names import function_arn
from sashiko.pipeline.definition.definition_records import parse_definition
from sashiko.pipeline.definition.function_reads import function_reads
from sashiko.settings.environment import Settings
from sashiko_cdk.functions.python_function import PythonFunction
from sashiko_cdk.identity.allow import Allowed, allow
from sashiko_cdk.identity.role_policy import RolePolicy
from sashiko_cdk.lake.objects import decrypt_objects
from sashiko_cdk.pipeline.compiled_pipeline import Compiled

__all__ = ["Gatekeeper"]

_EXECUTIONS = "Executions are named when they start; each step's files that a gate reads are here."


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
