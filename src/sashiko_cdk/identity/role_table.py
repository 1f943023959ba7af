"""The roles: what each is for, and what it must never do, which no later policy can undo."""

from collections.abc import Mapping
from typing import Final

from sashiko.account.names import Role, bucket_name
from sashiko.settings.environment import Settings

DESCRIPTIONS: Mapping[Role, str] = {
    "approver": "Person: approves or rejects model packages",
    "bedrock-import": "Bedrock: reads the folder of a model that it imports",
    "bias-evaluator": "Jobs: measure bias; read sensitive columns",
    "break-glass": "Person: reads the lake's objects in an emergency",
    "broker": "Jobs: take the snapshot of columns that may be trained on",
    "data-scientist": "Person: queries what may be trained on, starts the pipeline",
    "deployer": "Person: deploys by the CDK's roles, stages what runs read",
    "device-check": "Jobs: ask a model on the instance that would serve it",
    "endpoint-deployer": "Person: sees what approved models serve",
    "etl": "Glue: turns raw files into the lake's tables",
    "etl-starter": "Step Functions: starts the ETL job of a complete extract",
    "event-router": "EventBridge: hands events to Step Functions",
    "gatekeeper": "Function: reads verdicts, and ends a run that a gate stops",
    "image-build": "CodeBuild: builds the project's own images and pushes them",
    "image-build-starter": "Function: starts builds of images, and says how they ended",
    "inference": "Endpoint: serves a model",
    "janitor": "Function: deletes what a check on a device left",
    "lake-formation": "Lake Formation: reads and writes the registered locations",
    "lake-probe": "Function: looks whether the lake is open to everybody",
    "lake-settings": "Function: makes CloudFormation an administrator of the lake",
    "mlflow": "MLflow App: keeps its artifacts",
    "monitor": "Jobs: judge captured requests, which no other role reads",
    "monitor-publisher": "Step Functions: publishes what a window of requests showed",
    "notifier": "Step Functions: writes the alerts",
    "pipeline": "SageMaker Pipelines: starts the jobs",
    "pipeline-starter": "Step Functions: starts the pipeline on what was loaded",
    "preflight": "Function: checks a version before it is served",
    "privacy-officer": "Person: deletes what monitoring keeps of a key",
    "promoter": "Person: copies an approved version from another environment, as pending",
    "registrar": "Jobs: register model packages as pending",
    "registry-reader": "Jobs: find the champion",
    "training": "Jobs: prepare, train, compile, evaluate",
}
PEOPLE: frozenset[Role] = frozenset(
    {
        "approver",
        "break-glass",
        "data-scientist",
        "deployer",
        "endpoint-deployer",
        "privacy-officer",
        "promoter",
    }
)
# What the pipeline may hand to its jobs.
JOB_ROLES: tuple[Role, ...] = (
    "bias-evaluator",
    "broker",
    "device-check",
    "monitor",
    "registrar",
    "registry-reader",
    "training",
)
# Each runs in SageMaker's containers, inside the VPC.
CONTAINERS: tuple[Role, ...] = (*JOB_ROLES, "inference")
# Each is what state machines of Step Functions act as.
FLOWS: frozenset[Role] = frozenset(
    {"etl-starter", "monitor-publisher", "notifier", "pipeline-starter"}
)
# Each is the role, and the name, of one Lambda function.
FUNCTIONS: frozenset[Role] = frozenset(
    {
        "gatekeeper",
        "image-build-starter",
        "janitor",
        "lake-probe",
        "lake-settings",
        "preflight",
    }
)

# Where `sashiko stage` puts what a run reads, below the artifacts bucket.
STAGED: Final = ("code/*", "config/*", "source/*", "weights/*")

LAKE: Final = ("athena:*", "glue:GetPartition*", "glue:GetTable*", "lakeformation:GetDataAccess")
_OBJECTS = ("s3:GetObject*", "s3:PutObject*")
JOBS = ("sagemaker:CreateProcessingJob", "sagemaker:CreateTrainingJob")
REGISTER = ("sagemaker:CreateModelPackage",)
APPROVE = ("sagemaker:UpdateModelPackage",)
NEVER: Mapping[Role, tuple[str, ...]] = {
    "approver": (*REGISTER, *JOBS, *LAKE, "iam:PassRole"),
    "bedrock-import": ("sagemaker:*", *LAKE, "s3:PutObject*", "iam:PassRole"),
    "bias-evaluator": (*REGISTER, *APPROVE, *JOBS),
    "break-glass": (*REGISTER, *APPROVE, *JOBS, "iam:PassRole"),
    "broker": (*REGISTER, *APPROVE, *JOBS),
    "data-scientist": (*REGISTER, *APPROVE, "iam:PassRole"),
    "deployer": LAKE,
    "device-check": (*REGISTER, *APPROVE, *JOBS, *LAKE),
    "endpoint-deployer": (*REGISTER, *APPROVE, *JOBS, *LAKE),
    "etl": ("sagemaker:*", "iam:PassRole"),
    "etl-starter": ("sagemaker:*", *LAKE, *_OBJECTS, "iam:PassRole"),
    "event-router": ("sagemaker:*", *LAKE, *_OBJECTS, "iam:PassRole"),
    "gatekeeper": ("sagemaker:*", "s3:DeleteObject*", "s3:PutObject*", *LAKE, "iam:PassRole"),
    "image-build": ("sagemaker:*", *LAKE, "iam:PassRole"),
    "image-build-starter": ("sagemaker:*", *LAKE, "iam:PassRole"),
    "inference": ("sagemaker:*", *LAKE),
    "janitor": ("sagemaker:Create*", "sagemaker:Update*", "s3:*", *LAKE, "iam:PassRole"),
    "lake-formation": ("sagemaker:*", "iam:PassRole"),
    "lake-probe": ("sagemaker:*", "athena:*", "lakeformation:*", *_OBJECTS, "iam:PassRole"),
    "lake-settings": ("sagemaker:*", *LAKE, *_OBJECTS, "iam:PassRole"),
    "mlflow": ("sagemaker:*", *LAKE, "iam:PassRole"),
    "monitor": (*REGISTER, *APPROVE, *JOBS, *LAKE, "iam:PassRole"),
    "monitor-publisher": (*REGISTER, *APPROVE, *JOBS, *LAKE, "s3:PutObject*", "iam:PassRole"),
    "notifier": (*REGISTER, *APPROVE, *JOBS, *LAKE, *_OBJECTS, "iam:PassRole"),
    "pipeline": (*REGISTER, *APPROVE, *LAKE),
    "pipeline-starter": (*REGISTER, *APPROVE, *JOBS, *LAKE, *_OBJECTS, "iam:PassRole"),
    "preflight": (*REGISTER, *APPROVE, *JOBS, *LAKE, "iam:PassRole"),
    "privacy-officer": (*REGISTER, *APPROVE, *JOBS, *LAKE, "iam:PassRole"),
    "promoter": (*APPROVE, *JOBS, *LAKE, "iam:PassRole"),
    "registrar": (*APPROVE, *JOBS, *LAKE),
    "registry-reader": (*REGISTER, *APPROVE, *JOBS, *LAKE),
    "training": (*REGISTER, *APPROVE, *JOBS, *LAKE),
}
# The bucket policies of the lake let these three through, and nobody else is to try.
_READS_OBJECTS: frozenset[Role] = frozenset({"break-glass", "etl", "lake-formation"})
_BY_IAM: frozenset[Role] = frozenset({"bias-evaluator", "broker"})


def closed_buckets(settings: Settings, role: Role) -> list[str]:
    """Returns the objects, as ARNs, that `role` is denied to read past Lake Formation."""
    if role in _READS_OBJECTS:
        return []
    # Without Lake Formation Athena reads with the caller's own permissions.
    direct = settings.lake_formation.mode == "iam_only" and role in _BY_IAM
    raw, curated = (f"arn:aws:s3:::{bucket_name(settings, name)}/*" for name in ("raw", "curated"))
    return [raw] if direct else [raw, curated]
