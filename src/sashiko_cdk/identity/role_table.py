"""The roles: what each is for, and what it must never do, which no later policy can undo."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, Literal

from sashiko.account.names import Role, bucket_name
from sashiko.errors import InputError
from sashiko.packs import load_packs, pack_objects
from sashiko.settings.environment import Settings
from sashiko_cdk.identity.allow import Allowed

# Where `sashiko stage` puts what a run reads, below the artifacts bucket.
STAGED: Final = ("code/*", "config/*", "source/*", "weights/*")

LAKE: Final = ("athena:*", "glue:GetPartition*", "glue:GetTable*", "lakeformation:GetDataAccess")
_OBJECTS: Final = ("s3:GetObject*", "s3:PutObject*")
JOBS: Final = ("sagemaker:CreateProcessingJob", "sagemaker:CreateTrainingJob")
REGISTER: Final = ("sagemaker:CreateModelPackage",)
APPROVE: Final = ("sagemaker:UpdateModelPackage",)

Kind = Literal[
    "person",
    "job",  # the pipeline may pass it to its jobs, in SageMaker's containers inside the VPC
    "endpoint",  # in such a container too
    "flow",  # what state machines of Step Functions act as
    "function",  # the role, and the name, of one Lambda function
    "service",
]


@dataclass(frozen=True, kw_only=True)
class RoleRecord:
    """A role of people, jobs or services in an environment."""

    name: Role
    kind: Kind
    description: str
    never: tuple[str, ...]  # actions that it is denied
    # What it may do by itself; the core's are in `role_permissions`.
    own: Callable[[Settings], list[Allowed]] = lambda _: []
    # Of kind `service`: which one assumes it, for which of its resources (`{prefix}`: the
    # environment's).
    trust: tuple[str, str] = ("sagemaker", "*")
    reads_captures: bool = False  # and writes what is decoded of them
    rewrites_facets: bool = False  # in the folder of the snapshots bucket
    publishes_alerts: bool = False


CORE: Final = (
    RoleRecord(
        name="approver",
        kind="person",
        description="Person: approves or rejects model packages",
        never=(*REGISTER, *JOBS, *LAKE, "iam:PassRole"),
    ),
    RoleRecord(
        name="bias-evaluator",
        kind="job",
        description="Jobs: measure bias; read sensitive columns",
        never=(*REGISTER, *APPROVE, *JOBS),
        rewrites_facets=True,
    ),
    RoleRecord(
        name="break-glass",
        kind="person",
        description="Person: reads the lake's objects in an emergency",
        never=(*REGISTER, *APPROVE, *JOBS, "iam:PassRole"),
    ),
    RoleRecord(
        name="broker",
        kind="job",
        description="Jobs: take the snapshot of columns that may be trained on",
        never=(*REGISTER, *APPROVE, *JOBS),
    ),
    RoleRecord(
        name="data-scientist",
        kind="person",
        description="Person: queries what may be trained on, starts the pipeline",
        never=(*REGISTER, *APPROVE, "iam:PassRole"),
    ),
    RoleRecord(
        name="deployer",
        kind="person",
        description="Person: deploys by the CDK's roles, stages what runs read",
        never=LAKE,
    ),
    RoleRecord(
        name="device-check",
        kind="job",
        description="Jobs: ask a model on the instance that would serve it",
        never=(*REGISTER, *APPROVE, *JOBS, *LAKE),
    ),
    RoleRecord(
        name="endpoint-deployer",
        kind="person",
        description="Person: sees what approved models serve",
        never=(*REGISTER, *APPROVE, *JOBS, *LAKE),
    ),
    RoleRecord(
        name="etl",
        kind="service",
        description="Glue: turns raw files into the lake's tables",
        never=("sagemaker:*", "iam:PassRole"),
    ),
    RoleRecord(
        name="etl-starter",
        kind="flow",
        description="Step Functions: starts the ETL job of a complete extract",
        never=("sagemaker:*", *LAKE, *_OBJECTS, "iam:PassRole"),
    ),
    RoleRecord(
        name="event-router",
        kind="service",
        description="EventBridge: hands events to Step Functions",
        never=("sagemaker:*", *LAKE, *_OBJECTS, "iam:PassRole"),
        trust=("events", "rule/{prefix}-*"),
    ),
    RoleRecord(
        name="gatekeeper",
        kind="function",
        description="Function: reads verdicts, and ends a run that a gate stops",
        never=("sagemaker:*", "s3:DeleteObject*", "s3:PutObject*", *LAKE, "iam:PassRole"),
    ),
    RoleRecord(
        name="image-build",
        kind="service",
        description="CodeBuild: builds the project's own images and pushes them",
        never=("sagemaker:*", *LAKE, "iam:PassRole"),
        trust=("codebuild", "project/{prefix}-image-build"),
    ),
    RoleRecord(
        name="image-build-starter",
        kind="function",
        description="Function: starts builds of images, and says how they ended",
        never=("sagemaker:*", *LAKE, "iam:PassRole"),
    ),
    RoleRecord(
        name="inference",
        kind="endpoint",
        description="Endpoint: serves a model",
        never=("sagemaker:*", *LAKE),
    ),
    RoleRecord(
        name="janitor",
        kind="function",
        description="Function: deletes what a check on a device left",
        never=("sagemaker:Create*", "sagemaker:Update*", "s3:*", *LAKE, "iam:PassRole"),
        publishes_alerts=True,
    ),
    RoleRecord(
        name="lake-formation",
        kind="service",
        description="Lake Formation: reads and writes the registered locations",
        never=("sagemaker:*", "iam:PassRole"),
    ),
    RoleRecord(
        name="lake-probe",
        kind="function",
        description="Function: looks whether the lake is open to everybody",
        never=("sagemaker:*", "athena:*", "lakeformation:*", *_OBJECTS, "iam:PassRole"),
    ),
    RoleRecord(
        name="lake-settings",
        kind="function",
        description="Function: makes CloudFormation an administrator of the lake",
        never=("sagemaker:*", *LAKE, *_OBJECTS, "iam:PassRole"),
    ),
    RoleRecord(
        name="mlflow",
        kind="service",
        description="MLflow App: keeps its artifacts",
        never=("sagemaker:*", *LAKE, "iam:PassRole"),
    ),
    RoleRecord(
        name="notifier",
        kind="flow",
        description="Step Functions: writes the alerts",
        never=(*REGISTER, *APPROVE, *JOBS, *LAKE, *_OBJECTS, "iam:PassRole"),
        publishes_alerts=True,
    ),
    RoleRecord(
        name="pipeline",
        kind="service",
        description="SageMaker Pipelines: starts the jobs",
        never=(*REGISTER, *APPROVE, *LAKE),
    ),
    RoleRecord(
        name="pipeline-starter",
        kind="flow",
        description="Step Functions: starts the pipeline on what was loaded",
        never=(*REGISTER, *APPROVE, *JOBS, *LAKE, *_OBJECTS, "iam:PassRole"),
    ),
    RoleRecord(
        name="preflight",
        kind="function",
        description="Function: checks a version before it is served",
        never=(*REGISTER, *APPROVE, *JOBS, *LAKE, "iam:PassRole"),
    ),
    RoleRecord(
        name="promoter",
        kind="person",
        description="Person: copies an approved version from another environment, as pending",
        never=(*APPROVE, *JOBS, *LAKE, "iam:PassRole"),
    ),
    RoleRecord(
        name="registrar",
        kind="job",
        description="Jobs: register model packages as pending",
        never=(*APPROVE, *JOBS, *LAKE),
    ),
    RoleRecord(
        name="registry-reader",
        kind="job",
        description="Jobs: find the champion",
        never=(*REGISTER, *APPROVE, *JOBS, *LAKE),
    ),
    RoleRecord(
        name="training",
        kind="job",
        description="Jobs: prepare, train, compile, evaluate",
        never=(*REGISTER, *APPROVE, *JOBS, *LAKE),
    ),
)

# The bucket policies of the lake let these three through, and nobody else is to try.
_READS_OBJECTS: Final = frozenset({"break-glass", "etl", "lake-formation"})
_BY_IAM: Final = frozenset({"bias-evaluator", "broker"})


def role_records(settings: Settings) -> tuple[RoleRecord, ...]:
    """Returns the environment's roles, of the core and of its packs, sorted by name.

    Raises:
        InputError: if two have one name.
    """
    packs = load_packs(settings.packs, source="settings")
    own = (record for records in pack_objects("roles", packs) for record in records)
    records = sorted((*CORE, *own), key=lambda record: record.name)
    for record, following in pairwise(records):
        if record.name == following.name:
            raise InputError(
                f"config/base.yaml: key `packs`: two packs, or one and the core, have the role "
                f"{record.name}"
            )
    return tuple(records)


def roles_of(settings: Settings, *kinds: Kind) -> tuple[Role, ...]:
    """Returns the names of the roles of these kinds, sorted."""
    return tuple(record.name for record in role_records(settings) if record.kind in kinds)


def closed_buckets(settings: Settings, role: Role) -> list[str]:
    """Returns the objects, as ARNs, that `role` is denied to read past Lake Formation."""
    if role in _READS_OBJECTS:
        return []
    # Without Lake Formation Athena reads with the caller's own permissions.
    direct = settings.lake_formation.mode == "iam_only" and role in _BY_IAM
    raw, curated = (f"arn:aws:s3:::{bucket_name(settings, name)}/*" for name in ("raw", "curated"))
    return [raw] if direct else [raw, curated]
