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

# Where `sashiko env stage` puts what a run reads, below the artifacts bucket.
STAGED: Final = ("code/*", "config/*", "source/*", "weights/*")

LAKE: Final = ("athena:*", "glue:GetPartition*", "glue:GetTable*", "lakeformation:GetDataAccess")
_OBJECTS: Final = ("s3:GetObject*", "s3:PutObject*")
JOBS: Final = ("sagemaker:CreateProcessingJob", "sagemaker:CreateTrainingJob")
REGISTER: Final = ("sagemaker:CreateModelPackage",)
APPROVE: Final = ("sagemaker:UpdateModelPackage",)
_MODELS: Final = (*REGISTER, *APPROVE, *JOBS)
_SAGEMAKER: Final = "sagemaker:*"
_HAND_OVER: Final = "iam:PassRole"

Kind = Literal[
    "person",
    "job",  # the pipeline may pass it to its jobs, in SageMaker's containers inside the VPC
    "endpoint",  # in such a container too
    "flow",  # what state machines of Step Functions act as
    "function",  # the role, and the name, of one Lambda function
    "service",
]


@dataclass(frozen=True)
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
    # Of an endpoint that sleeps, whose requests and answers are objects: reads and deletes them.
    deletes_requests: bool = False
    writes_captures: bool = False
    # Writes tables of the curated bucket, of which its own policy allows it the folders.
    publishes_tables: bool = False
    publishes_alerts: bool = False


CORE: Final = (
    RoleRecord(
        "approver",
        "person",
        "Person: approves or rejects model packages",
        (*REGISTER, *JOBS, *LAKE, _HAND_OVER),
    ),
    RoleRecord(
        "bias-evaluator",
        "job",
        "Jobs: measure bias; read sensitive columns",
        _MODELS,
    ),
    RoleRecord(
        "break-glass",
        "person",
        "Person: reads the lake's objects in an emergency",
        (*_MODELS, _HAND_OVER),
    ),
    RoleRecord(
        "broker", "job", "Jobs: take the snapshot of columns that may be trained on", _MODELS
    ),
    RoleRecord(
        "data-scientist",
        "person",
        "Person: queries what may be trained on, starts the pipeline",
        (*REGISTER, *APPROVE, _HAND_OVER),
    ),
    RoleRecord(
        "deployer", "person", "Person: deploys by the CDK's roles, stages what runs read", LAKE
    ),
    RoleRecord(
        "device-check",
        "job",
        "Jobs: ask a model on the instance that would serve it",
        (*_MODELS, *LAKE),
    ),
    RoleRecord(
        "endpoint-caller",
        "person",
        "Person: asks an endpoint that sleeps, and reads the answers",
        (*_MODELS, *LAKE, _HAND_OVER),
    ),
    RoleRecord(
        "endpoint-deployer", "person", "Person: sees what approved models serve", (*_MODELS, *LAKE)
    ),
    RoleRecord(
        "etl", "service", "Glue: turns raw files into the lake's tables", (_SAGEMAKER, _HAND_OVER)
    ),
    RoleRecord(
        "etl-starter",
        "flow",
        "Step Functions: starts the ETL job of a complete extract",
        (_SAGEMAKER, *LAKE, *_OBJECTS, _HAND_OVER),
    ),
    RoleRecord(
        "event-router",
        "service",
        "EventBridge: hands events to Step Functions",
        (_SAGEMAKER, *LAKE, *_OBJECTS, _HAND_OVER),
        trust=("events", "rule/{prefix}-*"),
    ),
    RoleRecord(
        "gatekeeper",
        "function",
        "Function: reads verdicts, and ends a run that a gate stops",
        (_SAGEMAKER, "s3:DeleteObject*", "s3:PutObject*", *LAKE, _HAND_OVER),
    ),
    RoleRecord(
        "image-build",
        "service",
        "CodeBuild: builds the project's own images and pushes them",
        (_SAGEMAKER, *LAKE, _HAND_OVER),
        trust=("codebuild", "project/{prefix}-image-build"),
    ),
    RoleRecord(
        "image-build-starter",
        "function",
        "Function: starts builds of images, and says how they ended",
        (_SAGEMAKER, *LAKE, _HAND_OVER),
    ),
    RoleRecord("inference", "endpoint", "Endpoint: serves a model", (_SAGEMAKER, *LAKE)),
    RoleRecord(
        "janitor",
        "function",
        "Function: deletes what a check on a device left",
        ("sagemaker:Create*", "sagemaker:Update*", "s3:*", *LAKE, _HAND_OVER),
        publishes_alerts=True,
    ),
    RoleRecord(
        "lake-formation",
        "service",
        "Lake Formation: reads and writes the registered locations",
        (_SAGEMAKER, _HAND_OVER),
    ),
    RoleRecord(
        "lake-probe",
        "function",
        "Function: looks whether the lake is open to everybody",
        (_SAGEMAKER, "athena:*", "lakeformation:*", *_OBJECTS, _HAND_OVER),
    ),
    RoleRecord(
        "lake-settings",
        "function",
        "Function: makes CloudFormation an administrator of the lake",
        (_SAGEMAKER, *LAKE, *_OBJECTS, _HAND_OVER),
    ),
    RoleRecord(
        "mlflow", "service", "MLflow App: keeps its artifacts", (_SAGEMAKER, *LAKE, _HAND_OVER)
    ),
    RoleRecord(
        "notifier",
        "flow",
        "Step Functions: writes the alerts",
        (*_MODELS, *LAKE, *_OBJECTS, _HAND_OVER),
        publishes_alerts=True,
    ),
    RoleRecord(
        "pipeline", "service", "SageMaker Pipelines: starts the jobs", (*REGISTER, *APPROVE, *LAKE)
    ),
    RoleRecord(
        "pipeline-starter",
        "flow",
        "Step Functions: starts the pipeline on what was loaded",
        (*_MODELS, *LAKE, *_OBJECTS, _HAND_OVER),
    ),
    RoleRecord(
        "preflight",
        "function",
        "Function: checks a version before it is served",
        (*_MODELS, *LAKE, _HAND_OVER),
    ),
    RoleRecord(
        "promoter",
        "person",
        "Person: copies an approved version from another environment, as pending",
        (*APPROVE, *JOBS, *LAKE, _HAND_OVER),
    ),
    RoleRecord(
        "registrar", "job", "Jobs: register model packages as pending", (*APPROVE, *JOBS, *LAKE)
    ),
    RoleRecord("registry-reader", "job", "Jobs: find the champion", (*_MODELS, *LAKE)),
    RoleRecord(
        "rollout",
        "function",
        "Function: wakes an endpoint for an update, and judges it",
        (*_MODELS, "sagemaker:Create*", "sagemaker:Update*", "s3:PutObject*", *LAKE, _HAND_OVER),
    ),
    RoleRecord("training", "job", "Jobs: prepare, train, compile, evaluate", (*_MODELS, *LAKE)),
)

# Only where the endpoint sleeps.
_OF_SLEEPERS: Final = frozenset({"endpoint-caller", "rollout"})

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
    core = (one for one in CORE if settings.serving.sleeps or one.name not in _OF_SLEEPERS)
    records = sorted((*core, *own), key=lambda record: record.name)
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


def closed_buckets(settings: Settings, record: RoleRecord) -> list[str]:
    """Returns the objects, as ARNs, that a role is denied to read past Lake Formation."""
    if record.name in _READS_OBJECTS:
        return []
    # Without Lake Formation Athena reads with the caller's own permissions.
    by_iam = settings.lake_formation.mode == "iam_only" and record.name in _BY_IAM
    direct = by_iam or record.publishes_tables
    raw, curated = (f"arn:aws:s3:::{bucket_name(settings, name)}/*" for name in ("raw", "curated"))
    return [raw] if direct else [raw, curated]
