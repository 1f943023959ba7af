"""Permissions of each role on the artifacts bucket: what its jobs read and write, by definition."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Final

from aws_cdk import aws_kms as kms
from constructs import Construct

from sashiko.account.names import MODELS, Role, bucket_name
from sashiko.packs import load_packs, pack_objects
from sashiko.pipeline.definition.definition_records import Definition, parse_definition
from sashiko.pipeline.definition.graph import JobObjects, job_objects
from sashiko.registry.attestation import STATEMENTS
from sashiko.settings.environment import Settings
from sashiko_cdk.identity.allow import Allowed, RolePolicy, allow
from sashiko_cdk.identity.role_table import STAGED, roles_of
from sashiko_cdk.lake.private_bucket import READ, WRITE
from sashiko_cdk.pipeline.compiled_pipeline import Compiled

__all__ = ["ArtifactAccess"]

MLFLOW_FOLDER: Final = "mlflow"
_MLFLOW = (f"{MLFLOW_FOLDER}/*",)
_MODELS = (f"{MODELS}/*",)
_STATEMENTS = (f"{STATEMENTS}/*",)


@dataclass(frozen=True, kw_only=True)
class Places:
    """Keys of the artifacts bucket, as patterns."""

    reads: tuple[str, ...] = ()  # what a role may read
    writes: tuple[str, ...] = ()  # what it may write
    deletes: tuple[str, ...] = ()  # what it may delete
    lists: tuple[str, ...] = ()  # what it may list, but neither read nor write

    def __or__(self, other: "Places") -> "Places":
        """Returns the places of both, sorted, each once."""
        return Places(
            **{
                use.name: tuple(sorted({*getattr(self, use.name), *getattr(other, use.name)}))
                for use in fields(self)
            }
        )


# Places that the definitions do not name.
_BESIDE: Mapping[Role, Places] = {
    # Before a run: is all of it staged?
    "data-scientist": Places(lists=STAGED),
    # It reads back what it staged, to compare its checksum with its name.
    "deployer": Places(reads=STAGED, writes=STAGED),
    # It uses no image that it has not vouched for.
    "image-build-starter": Places(reads=_STATEMENTS, writes=_STATEMENTS),
    # The version that the serving stack serves.
    "inference": Places(reads=_MODELS),
    "mlflow": Places(reads=_MLFLOW, writes=_MLFLOW, deletes=_MLFLOW),
    # It reads nothing: the gatekeeper function evaluates its gates and has its own permissions.
    "pipeline": Places(),
    "preflight": Places(reads=_MODELS),
    # The signed files of a version, which the Register step writes.
    "registrar": Places(reads=_STATEMENTS, writes=_MODELS),
    # The approved version, which the registry names.
    "registry-reader": Places(reads=_MODELS),
}


def artifact_places(settings: Settings, definitions: Sequence[Definition]) -> Mapping[Role, Places]:
    """Returns where each role reads and writes.

    Staged files are allowed by folder: an execution of the previous definition still needs its
    files after a deploy. Outputs of a step are allowed one by one, in any execution, and by step
    where a role has all of them: a managed policy is limited to 6,144 characters ("IAM and AWS STS
    quotas", IAM User Guide).

    Raises:
        InputError: if a definition's references are wrong.
    """
    bucket = f"s3://{bucket_name(settings, 'artifacts')}/"
    jobs = [job for definition in definitions for job in job_objects(definition)]
    outputs = sorted({key for job in jobs for key in _keys(job.writes, bucket)})
    places: dict[Role, Places] = {}
    for role in roles_of(settings, "job"):
        own = [job for job in jobs if job.role == settings.role_arn(role)]
        reads = {_pattern(key, outputs) for job in own for key in _keys(job.reads, bucket)}
        writes = {_pattern(key, outputs) for job in own for key in _keys(job.writes, bucket)}
        places[role] = Places(reads=_by_step(reads, outputs), writes=_by_step(writes, outputs))
    others = dict(_BESIDE)
    if settings.promotion.source:
        others["promoter"] = Places(writes=_MODELS)
    for role, extra in (*others.items(), *_beside_their_role(settings, jobs, outputs, bucket)):
        places[role] = places.get(role, Places()) | extra
    return dict(sorted(places.items()))


def _beside_their_role(
    settings: Settings, jobs: Iterable[JobObjects], outputs: Sequence[str], bucket: str
) -> Iterator[tuple[Role, Places]]:
    """Yields what other roles do for jobs, and what packs read of what a job's arguments name.

    SageMaker reads the artifact of DeviceCheck with the model's role, for batch transform jobs as
    well (`ExecutionRoleArn` of "CreateModel", SageMaker API Reference). Such a job has no role of
    its own ("CreateTransformJob"), so rows and answers pass by the model's. The check reads the
    answers.
    """
    more_readers = pack_objects("artifact_readers", load_packs(settings.packs, source="settings"))
    for job in jobs:
        if job.role == settings.role_arn("device-check"):
            for key in _keys(job.arguments.values(), bucket):
                pattern = (_pattern(key, outputs),)
                yield "inference", Places(reads=pattern)
                if not any(_inside(key, outputs)):  # scratch of the batch job
                    yield "inference", Places(writes=pattern)
                    yield "device-check", Places(reads=pattern)
        for readers in more_readers:
            for role, uri in readers(settings, job):
                for key in _keys((uri,), bucket):
                    yield role, Places(reads=(_pattern(key, outputs),))


def _keys(uris: Iterable[str], bucket: str) -> Iterator[str]:
    return (uri.removeprefix(bucket) for uri in uris if uri.startswith(bucket))


def _pattern(key: str, outputs: Sequence[str]) -> str:
    """Returns the pattern of an input or output: a staged folder, an output or a prefix."""
    staged = (folder for folder in STAGED if key.startswith(folder.removesuffix("*")))
    return next(staged, f"{next(_inside(key, outputs), key)}/*")


def _inside(key: str, outputs: Sequence[str]) -> Iterator[str]:
    return (output for output in outputs if key == output or key.startswith(f"{output}/"))


def _by_step(patterns: set[str], outputs: Sequence[str]) -> tuple[str, ...]:
    """Replaces the patterns of all outputs of a step, where it has several, by one."""
    shorter = set(patterns)
    for step in {output.rpartition("/")[0] for output in outputs}:
        complete = {f"{output}/*" for output in outputs if output.rpartition("/")[0] == step}
        if len(complete) > 1 and complete <= patterns:
            shorter = shorter - complete | {f"{step}/*"}
    return tuple(sorted(shorter))


class ArtifactAccess(Construct):
    """The roles' policies on the artifacts bucket and its key."""

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        settings: Settings,
        pipelines: Sequence[Compiled],
        key: kms.IKey,
    ) -> None:
        super().__init__(scope, id)
        bucket = f"arn:aws:s3:::{bucket_name(settings, 'artifacts')}"
        jobs = roles_of(settings, "job")
        definitions = [parse_definition(compiled.definition) for compiled in pipelines]
        for role, places in artifact_places(settings, definitions).items():
            statements = [*_on_objects(bucket, places), *_on_key(key.key_arn, role, places, jobs)]
            why = "Reads and writes its own artifacts"
            RolePolicy(self, role, settings, role, statements, description=why)


def _on_objects(bucket: str, places: Places) -> Iterator[Allowed]:
    why = "Executions, and what is staged, are named when they are made; each step's is here."
    uses = ((READ, places.reads), (WRITE, places.writes), (("s3:DeleteObject",), places.deletes))
    for actions, patterns in uses:
        if patterns:
            yield allow(actions, [f"{bucket}/{pattern}" for pattern in patterns], why=why)
    if keys := sorted({*places.reads, *places.writes, *places.lists}):
        # An input's prefix has no trailing slash: the pattern of its objects does not match it.
        prefixes = [word for key in keys for word in (key.removesuffix("/*"), key)]
        yield allow(["s3:GetBucketLocation"], [bucket])
        yield allow(["s3:ListBucket"], [bucket], conditions={"StringLike": {"s3:prefix": prefixes}})


def _on_key(key: str, role: Role, places: Places, jobs: Sequence[Role]) -> Iterator[Allowed]:
    if places.reads or places.writes:
        yield allow(["kms:Decrypt", *(["kms:GenerateDataKey"] if places.writes else [])], [key])
    if role in (*jobs, "pipeline"):
        # SageMaker needs it of the job's role to encrypt the job's output.
        yield allow(["kms:DescribeKey", *(["kms:Encrypt"] if role in jobs else [])], [key])
        # SageMaker decrypts the volume of a job's instance by a grant that it creates.
        for_aws = {"Bool": {"kms:GrantIsForAWSResource": "true"}}
        yield allow(["kms:CreateGrant"], [key], conditions=for_aws)
