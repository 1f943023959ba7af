"""Who may do what, as far as it does not depend on a later stack's resources.

What is about buckets, keys, tables, the pipeline's data or an endpoint is attached by the stack
that makes them (`RolePolicy`). What a role must never do stands here, as a denial that no later
policy can undo.
"""

from collections.abc import Mapping

from infra.components.allow import Allowed, allow
from sashiko.aws.names import QUALIFIER, Role, bucket_name, prefix
from sashiko.settings import Settings

DESCRIPTIONS: Mapping[Role, str] = {
    "approver": "Person: approves or rejects model packages",
    "bias-evaluator": "Jobs: measure bias; read sensitive columns",
    "break-glass": "Person: reads the lake's objects in an emergency",
    "broker": "Jobs: take the snapshot of columns that may be trained on",
    "data-scientist": "Person: queries what may be trained on, starts the pipeline",
    "deployer": "Person: deploys by the CDK's roles",
    "endpoint-deployer": "Person: puts approved models on endpoints",
    "etl": "Glue: turns raw files into the lake's tables",
    "inference": "Endpoint: serves a model",
    "lake-formation": "Lake Formation: reads and writes the registered locations",
    "pipeline": "SageMaker Pipelines: starts the jobs",
    "registrar": "Jobs: register model packages as pending",
    "registry-reader": "Jobs: find the champion",
    "training": "Jobs: prepare, train, compile, evaluate",
}
PEOPLE: frozenset[Role] = frozenset(
    {"approver", "break-glass", "data-scientist", "deployer", "endpoint-deployer"}
)
# Each runs in SageMaker's containers, inside the VPC.
CONTAINERS: frozenset[Role] = frozenset(
    {"bias-evaluator", "broker", "inference", "registrar", "registry-reader", "training"}
)
# What the pipeline may hand to its jobs.
JOB_ROLES: tuple[Role, ...] = (
    "bias-evaluator",
    "broker",
    "registrar",
    "registry-reader",
    "training",
)

_LAKE = ("athena:*", "glue:GetPartition*", "glue:GetTable*", "lakeformation:GetDataAccess")
_JOBS = ("sagemaker:CreateProcessingJob", "sagemaker:CreateTrainingJob")
_REGISTER = ("sagemaker:CreateModelPackage",)
_APPROVE = ("sagemaker:UpdateModelPackage",)
NEVER: Mapping[Role, tuple[str, ...]] = {
    "approver": (*_REGISTER, *_JOBS, *_LAKE, "iam:PassRole"),
    "bias-evaluator": (*_REGISTER, *_APPROVE, *_JOBS),
    "break-glass": (*_REGISTER, *_APPROVE, *_JOBS, "iam:PassRole"),
    "broker": (*_REGISTER, *_APPROVE, *_JOBS),
    "data-scientist": (*_REGISTER, *_APPROVE, "iam:PassRole"),
    "deployer": (*_LAKE, "s3:GetObject*", "kms:Decrypt"),
    "endpoint-deployer": (*_REGISTER, *_APPROVE, *_JOBS, *_LAKE),
    "etl": ("sagemaker:*", "iam:PassRole"),
    "inference": ("sagemaker:*", *_LAKE),
    "lake-formation": ("sagemaker:*", "iam:PassRole"),
    "pipeline": (*_REGISTER, *_APPROVE, *_LAKE),
    "registrar": (*_APPROVE, *_JOBS, *_LAKE),
    "registry-reader": (*_REGISTER, *_APPROVE, *_JOBS, *_LAKE),
    "training": (*_REGISTER, *_APPROVE, *_JOBS, *_LAKE),
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


def own_permissions(settings: Settings, role: Role) -> list[Allowed]:
    """Returns what `role` may do by itself."""
    region, account = settings.region, settings.account
    sagemaker = f"arn:aws:sagemaker:{region}:{account}"
    mine = prefix(settings)
    named = "Names are made at run time; all of them begin with the environment's prefix."
    packages = f"{sagemaker}:model-package/{mine}-*"
    groups = f"{sagemaker}:model-package-group/{mine}-*"
    pipeline_named = "SageMaker names the jobs of a pipeline; all of them begin so."
    jobs = [f"{sagemaker}:{kind}-job/pipelines-*" for kind in ("processing", "training")]
    if role == "pipeline":
        return [
            allow([*_JOBS, "sagemaker:AddTags"], jobs, why=pipeline_named),
            allow(
                [
                    f"sagemaker:{verb}{kind}Job"
                    for kind in ("Processing", "Training")
                    for verb in ("Describe", "Stop")
                ],
                jobs,
                why=pipeline_named,
            ),
            allow(
                ["iam:PassRole"],
                [settings.role_arn(job_role) for job_role in JOB_ROLES],
                conditions={"StringEquals": {"iam:PassedToService": "sagemaker.amazonaws.com"}},
            ),
        ]
    reads = [
        allow(
            [
                "sagemaker:DescribeModelPackage",
                "sagemaker:DescribeModelPackageGroup",
                "sagemaker:ListModelPackages",
            ],
            [groups, packages],
            why=named,
        )
    ]
    pending = {"StringEquals": {"sagemaker:ModelApprovalStatus": "PendingManualApproval"}}
    decided = {"StringEquals": {"sagemaker:ModelApprovalStatus": ["Approved", "Rejected"]}}
    by_role: dict[Role, list[Allowed]] = {
        "approver": [*reads, allow(_APPROVE, [packages], conditions=decided, why=named)],
        "data-scientist": [
            allow(
                [
                    "sagemaker:DescribePipeline",
                    "sagemaker:DescribePipelineExecution",
                    "sagemaker:ListPipelineExecutionSteps",
                    "sagemaker:ListPipelineExecutions",
                    "sagemaker:StartPipelineExecution",
                    "sagemaker:StopPipelineExecution",
                ],
                [f"{sagemaker}:pipeline/{mine}-*"],
                why=named,
            ),
            *reads,
        ],
        "deployer": [
            allow(
                ["sts:AssumeRole"],
                [
                    f"arn:aws:iam::{account}:role/cdk-{QUALIFIER}-{part}-role-{account}-{region}"
                    for part in ("deploy", "file-publishing")
                ],
            )
        ],
        "endpoint-deployer": [
            *reads,
            allow(
                [
                    f"sagemaker:{verb}{kind}"
                    for kind in ("Model", "EndpointConfig", "Endpoint")
                    for verb in ("Create", "Delete", "Describe")
                ]
                + ["sagemaker:AddTags", "sagemaker:UpdateEndpoint"],
                [
                    f"{sagemaker}:{kind}/{mine}-*"
                    for kind in ("model", "endpoint-config", "endpoint")
                ],
                why=named,
            ),
            allow(
                ["iam:PassRole"],
                [settings.role_arn("inference")],
                conditions={"StringEquals": {"iam:PassedToService": "sagemaker.amazonaws.com"}},
            ),
        ],
        "registrar": [*reads, allow(_REGISTER, [groups, packages], conditions=pending, why=named)],
        "registry-reader": reads,
    }
    return by_role.get(role, [])
