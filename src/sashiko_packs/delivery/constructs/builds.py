"""The CodeBuild projects of the pipeline, each with a role of its own."""

from collections.abc import Sequence
from typing import Final

from aws_cdk import RemovalPolicy
from aws_cdk import aws_codebuild as codebuild
from aws_cdk import aws_iam as iam
from aws_cdk import aws_logs as logs
from constructs import Construct

from sashiko.account.names import bucket_name
from sashiko.settings.tools import Tools
from sashiko_cdk.identity.allow import Allowed, allow, explain
from sashiko_cdk.identity.trust import service
from sashiko_cdk.platform.image_permissions import writing_logs
from sashiko_cdk.security_rules.acknowledge import acknowledge
from sashiko_packs.delivery.constructs.parts import Part
from sashiko_packs.delivery.constructs.specs import buildspec
from sashiko_packs.delivery.constructs.stores import CACHE, Stores

_MACHINE: Final = "aws/codebuild/amazonlinux-x86_64-standard:5.0"
_QUEUED_MINUTES: Final = 480
# A first deploy builds an environment's images, each for 50 minutes at most.
_MINUTES: Final = {"test": 120, "synth": 60, "difference": 60, "deploy": 480}
_KEY_USE = (
    "kms:Decrypt",
    "kms:DescribeKey",
    "kms:Encrypt",
    "kms:GenerateDataKey",
    "kms:ReEncryptFrom",
    "kms:ReEncryptTo",
)
_LONGEST_FOLDER = 20


class Build(Construct):
    """A part of the pipeline: its project, its role and its log."""

    def __init__(
        self,
        scope: Construct,
        part: Part,
        *,
        tools: Tools,
        names: Sequence[str],
        stores: Stores,
        boundary: iam.IManagedPolicy,
        removal_policy: RemovalPolicy,
    ) -> None:
        """Makes the part; `names` are what is synthesized, each by the name that `ENV` takes."""
        super().__init__(scope, part.id)
        settings = tools.settings
        log = logs.LogGroup(
            self,
            "Log",
            log_group_name=part.log_group,
            retention=logs.RetentionDays.ONE_YEAR,
            encryption_key=stores.key,
            removal_policy=removal_policy,
        )
        allowed = [
            *writing_logs(settings, part.log_group),
            *_using_stores(tools, part, stores),
            *_assuming(part),
            *(reading_repository(tools) if part.place is None else ()),
        ]
        role = iam.Role(
            self,
            "Role",
            role_name=part.name,
            description=_description(part),
            assumed_by=service(settings, "codebuild", f"project/{part.name}"),
            permissions_boundary=boundary,
            inline_policies={
                "own": iam.PolicyDocument(statements=[item.statement for item in allowed])
            },
        )
        explain(role, allowed)
        acknowledge(
            role,
            {
                "NIST-IAMNoInlinePolicy": "The policy is of this one role and lives and dies with "
                "it; the boundary limits it."
            },
        )
        project = codebuild.CfnProject(
            self,
            "Project",
            name=part.name,
            description=_description(part),
            service_role=role.role_arn,
            source=codebuild.CfnProject.SourceProperty(
                type="CODEPIPELINE",
                build_spec=buildspec(part, branch=tools.delivery.source.branch, names=names),
            ),
            artifacts=codebuild.CfnProject.ArtifactsProperty(type="CODEPIPELINE"),
            cache=codebuild.CfnProject.ProjectCacheProperty(
                type="S3", location=f"{bucket_name(settings, 'artifacts')}/{CACHE}{part.id}"
            ),
            encryption_key=stores.key.key_arn,
            environment=codebuild.CfnProject.EnvironmentProperty(
                type="LINUX_CONTAINER",
                image=_MACHINE,
                compute_type="BUILD_GENERAL1_MEDIUM",
                privileged_mode=False,
            ),
            logs_config=codebuild.CfnProject.LogsConfigProperty(
                cloud_watch_logs=codebuild.CfnProject.CloudWatchLogsConfigProperty(
                    status="ENABLED", group_name=log.log_group_name
                )
            ),
            timeout_in_minutes=_MINUTES[part.kind],
            queued_timeout_in_minutes=_QUEUED_MINUTES,
        )
        project.node.add_dependency(role)


def artifacts_bucket(tools: Tools) -> str:
    """Returns the ARN of the bucket of artifacts and caches."""
    return f"arn:aws:s3:::{bucket_name(tools.settings, 'artifacts')}"


def artifact_objects(tools: Tools) -> str:
    """Returns the ARN pattern of the pipeline's artifacts.

    CodePipeline shortens the pipeline's name in the keys, and no page of AWS's says to what length:
    20 letters are assumed, and docs/verified.md says that this was not tried.
    """
    return f"{artifacts_bucket(tools)}/{pipeline_name(tools)[:_LONGEST_FOLDER]}*"


def pipeline_name(tools: Tools) -> str:
    """Names the pipeline that delivers."""
    return f"{tools.settings.project}-{tools.settings.environment}"


def reading_repository(tools: Tools) -> list[Allowed]:
    """Returns the permission to read the one repository through the connection.

    The keys are those of "Using a connection", "Permissions reference for AWS CodeConnections",
    Developer Tools console User Guide. AWS writes them with `ForAllValues`, as not every request
    has each; the boundary denies what says that it writes (`delivery.constructs.limits`).
    """
    source = tools.delivery.source
    assert source.connection is not None  # noqa: S101  checked where the settings are read
    reads = {
        "codeconnections:FullRepositoryId": source.repository,
        "codeconnections:ProviderPermissionsRequired": "read_only",
    }
    return [
        allow(
            ["codeconnections:UseConnection"],
            [source.connection],
            conditions={"ForAllValues:StringEquals": reads},
        )
    ]


def using_key(stores: Stores) -> Allowed:
    """Returns the permission to read and write under the pipeline's key."""
    return allow(_KEY_USE, [stores.key.key_arn])


def _using_stores(tools: Tools, part: Part, stores: Stores) -> list[Allowed]:
    """Returns the permissions on artifacts, and on the part's own cache alone.

    A cache holds unpacked packages whose hashes nobody compares again: what a test of a commit
    wrote must not be what a deploy installs.
    """
    bucket = artifacts_bucket(tools)
    cache = f"{CACHE}{part.id}/*"
    writes = part.kind in ("synth", "difference")
    return [
        allow(
            ["s3:GetObject", "s3:GetObjectVersion", *(["s3:PutObject"] if writes else [])],
            [artifact_objects(tools)],
            why="CodePipeline names its artifacts, another name in each execution.",
        ),
        allow(
            ["s3:GetObject", "s3:PutObject"],
            [f"{bucket}/{cache}"],
            why="The part's own caches, each named by the content of the lock files.",
        ),
        allow(["s3:ListBucket"], [bucket], conditions={"StringLike": {"s3:prefix": cache}}),
        allow(["s3:GetBucketAcl", "s3:GetBucketLocation"], [bucket]),
        using_key(stores),
    ]


def _assuming(part: Part) -> list[Allowed]:
    return [allow(["sts:AssumeRole"], part.assumes)] if part.assumes else []


def _description(part: Part) -> str:
    place = part.place.environment if part.place else ""
    return {
        "test": "Checks and tests a commit",
        "synth": "Synthesizes a commit's templates, once for all environments",
        "difference": f"Compares the templates of {place} with what is deployed",
        "deploy": f"Deploys {place} by the roles of its bootstrap",
    }[part.kind]
