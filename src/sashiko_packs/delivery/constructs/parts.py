"""What the constructs of the delivery share: stores, parts, names, and the roles' boundary."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from aws_cdk import Duration
from aws_cdk import aws_iam as iam
from aws_cdk import aws_s3 as s3
from constructs import Construct

from sashiko.account import names
from sashiko.account.names import arn, model_build_role_arn, prefix
from sashiko.errors import InputError
from sashiko.settings.delivery import approved_stages
from sashiko.settings.environment import Settings
from sashiko.settings.tools import Tools
from sashiko_cdk.identity.allow import Allowed, allow, deny
from sashiko_cdk.identity.boundary import acknowledge_cap, boundary_of, shared_limits
from sashiko_cdk.lake.buckets import ACCESS_LOGS
from sashiko_cdk.lake.domain_key import DomainKey, encrypt_logs
from sashiko_cdk.lake.private_bucket import PrivateBucket
from sashiko_cdk.platform.spending import alerts_topic, publishing
from sashiko_cdk.stack import EnvironmentStack

CACHE = "cache/"  # folder of the caches, one below it for each part
_KEPT = Duration.days(90)
_CACHED = Duration.days(30)
_LONGEST_FOLDER = 20
_KEY_USE = (
    "kms:Decrypt",
    "kms:DescribeKey",
    "kms:Encrypt",
    "kms:GenerateDataKey",
    "kms:ReEncryptFrom",
    "kms:ReEncryptTo",
)


class Stores(Construct):
    """The stores of the pipeline. Everything in them is made again by the next execution.

    Attributes:
        tools: the tools' account, and the environments.
        boundary: of all roles.
        removal_policy: of stores and logs.
        key: encrypts all of it, and the logs.
        artifacts: the bucket of artifacts and caches. No other account reads it: the deploys run
            here and publish through the environments' own roles.
        topic: hears of what failed and of what waits for an approval.
    """

    def __init__(self, stack: EnvironmentStack, id: str, *, tools: Tools) -> None:
        super().__init__(stack, id)
        settings, keep = tools.settings, stack.removal_policy
        self.tools, self.removal_policy = tools, keep
        self.boundary = boundary_of(stack, settings)
        self.key = DomainKey(self, "Key", settings=settings, domain="platform", removal_policy=keep)
        encrypt_logs(self.key, settings, [f"/{prefix(settings)}/*"], sid="LogsOfBuilds")
        access = PrivateBucket(
            self,
            "AccessLogs",
            settings=settings,
            bucket="logs",
            removal_policy=keep,
            key=None,
            logs=None,
            expiring=[s3.LifecycleRule(expiration=ACCESS_LOGS)],
        )
        self.artifacts = PrivateBucket(
            self,
            "Artifacts",
            settings=settings,
            bucket="artifacts",
            removal_policy=keep,
            key=self.key,
            logs=access,
            expiring=[
                s3.LifecycleRule(expiration=_KEPT),
                s3.LifecycleRule(prefix=CACHE, expiration=_CACHED),
            ],
        )
        access.explain_logs("artifacts")
        emails = sorted({email for stage in tools.stages for email in stage.alerts.emails})
        self.topic = alerts_topic(self, "Alerts", settings, key=self.key, emails=emails)

    @property
    def bucket_arn(self) -> str:
        """The ARN of the bucket of artifacts and caches, by its name."""
        return f"arn:aws:s3:::{names.bucket_name(self.tools.settings, 'artifacts')}"

    def use_artifacts(self, *actions: str) -> Allowed:
        """Allows actions on the pipeline's artifacts.

        CodePipeline shortens the pipeline's name in the keys, and no page of AWS's says to what
        length: 20 letters are assumed, and docs/verified.md says that this was not tried.
        """
        return allow(
            actions,
            [f"{self.bucket_arn}/{pipeline_name(self.tools)[:_LONGEST_FOLDER]}*"],
            why="CodePipeline names its artifacts, another name in each execution.",
        )

    def use_key(self) -> Allowed:
        """Allows reading and writing under the key."""
        return allow(_KEY_USE, [self.key.key_arn])

    def publish(self) -> list[Allowed]:
        """Allows publishing to the topic."""
        return publishing(self.tools.settings, self.topic, self.key)

    def read_repository(self) -> Allowed:
        """Allows reading the one repository through the connection.

        The keys are those of "Using a connection", "Permissions reference for AWS CodeConnections",
        Developer Tools console User Guide. AWS writes them with `ForAllValues`, as not every
        request has each; the boundary denies what says that it writes (`ToolsBoundary`).
        """
        source = self.tools.delivery.source
        assert source.connection is not None  # noqa: S101  checked where the settings are read
        reads = {
            "codeconnections:FullRepositoryId": source.repository,
            "codeconnections:ProviderPermissionsRequired": "read_only",
        }
        conditions = {"ForAllValues:StringEquals": reads}
        return allow(["codeconnections:UseConnection"], [source.connection], conditions=conditions)


def pipeline_name(tools: Tools) -> str:
    """Names the pipeline that delivers."""
    return f"{tools.settings.project}-{tools.settings.environment}"


Kind = Literal["test", "synth", "difference", "deploy"]
# What a part assumes in the account that it compares with or deploys to.
ASSUMED: Mapping[Kind, tuple[names.BootstrapRole, ...]] = {
    "test": (),
    "synth": (),
    "difference": ("lookup",),
    "deploy": ("deploy", "file-publishing", "lookup"),
}


@dataclass(frozen=True, kw_only=True)
class Part:
    """A CodeBuild project of the pipeline."""

    tools: Settings  # that its name follows from
    kind: Kind  # what it does
    # The environment, or the tools' account itself, that it compares with or deploys to.
    place: Settings | None = None

    @property
    def id(self) -> str:
        """Its name within the pipeline, such as `dev-deploy`."""
        return f"{self.place.environment}-{self.kind}" if self.place else self.kind

    @property
    def name(self) -> str:
        """The name of its project and of its role."""
        return f"{prefix(self.tools)}-{self.id}"

    @property
    def project_arn(self) -> str:
        """The ARN of its project."""
        return arn(self.tools, "codebuild", f"project/{self.name}")


def places_of(tools: Tools) -> tuple[Settings, ...]:
    """Returns what the pipeline deploys to, in order: the first stage, itself, the other stages.

    Its own update always waits for a person. The first stage follows a merge, so it comes before.
    """
    first, *others = tools.stages
    return (first, tools.settings, *others)


def is_approved(tools: Tools, place: Settings) -> bool:
    """Says whether a person approves each deploy to a place; the pipeline's own always."""
    return place == tools.settings or place in approved_stages(tools.stages)


def parts_of(tools: Tools) -> Iterator[Part]:
    """Yields all parts, in the order of the pipeline."""
    yield Part(tools=tools.settings, kind="test")
    yield Part(tools=tools.settings, kind="synth")
    for place in places_of(tools):
        yield Part(tools=tools.settings, kind="difference", place=place)
        yield Part(tools=tools.settings, kind="deploy", place=place)


_WORK = [
    "codebuild:BatchGetBuilds",
    "codebuild:StartBuild",
    "codeconnections:GetConnection",
    "codeconnections:GetConnectionToken",
    "codeconnections:UseConnection",
    "kms:*",
    "logs:*",
    "s3:*",
    "sns:Publish",
    "sts:*",
]
_CHARACTERS = 6144  # of a managed policy: "IAM and AWS STS quotas", IAM User Guide


class ToolsBoundary(iam.ManagedPolicy):
    """What no role of the pipeline may do, whatever a merged change lets its policies say.

    The pipeline changes its own stack. A role of one environment must still not reach another one's
    account, and what builds and tests a commit must reach none. The build that delivers approved
    models, which alone pushes, reads registries, and deploys nothing. A connection's token can do
    what its app may.
    """

    def __init__(self, scope: Construct, id: str, *, tools: Tools) -> None:
        """Makes the boundary.

        Raises:
            InputError: if the stages are too many for one policy.
        """
        settings, assuming = tools.settings, ["sts:AssumeRole"]
        roles = f"arn:aws:iam::{settings.account}:role/{prefix(settings)}"
        own = {f"{roles}-{place.environment}-*": place for place in places_of(tools)}
        deployers = [*own, model_build_role_arn(tools)]
        build = {"aws:PrincipalArn": model_build_role_arn(tools)}
        registries = [stage.role_arn("endpoint-deployer") for stage in tools.stages]
        writing = {"codeconnections:ProviderPermissionsRequired": "read_write"}
        statements = [
            iam.PolicyStatement(sid="CapOnly", actions=_WORK, resources=["*"]),
            *shared_limits(settings),
            *(
                deny(
                    f"Only{place.environment.title()}",
                    assuming,
                    not_resources=[
                        names.bootstrap_role_arn(place, role) for role in ASSUMED["deploy"]
                    ],
                    conditions={"ArnLike": {"aws:PrincipalArn": pattern}},
                )
                for pattern, place in own.items()
            ),
            deny(
                "NoOtherRoles", assuming, conditions={"ArnNotLike": {"aws:PrincipalArn": deployers}}
            ),
            deny(
                "ModelsReadAlone",
                assuming,
                not_resources=registries,
                conditions={"ArnEquals": build},
            ),
            deny(
                "ModelsPushAlone",
                ["codeconnections:GetConnectionToken"],
                conditions={"ArnNotEquals": build},
            ),
            deny(
                "OthersRead",
                ["codeconnections:UseConnection"],
                conditions={"ArnNotEquals": build, "StringEquals": writing},
            ),
        ]
        text = json.dumps([item.to_statement_json() for item in statements], separators=(",", ":"))
        if len(text) > _CHARACTERS:
            raise InputError(
                f"config/delivery.yaml: key `stages`: the boundary of {len(tools.stages)} stages "
                f"has {len(text)} characters, and a policy takes {_CHARACTERS}: deliver to fewer"
            )
        super().__init__(
            scope,
            id,
            managed_policy_name=names.bootstrap_policy_name(settings, "boundary"),
            description="What no role of the pipeline that delivers may ever do; it grants nothing",
            statements=statements,
        )
        acknowledge_cap(self, _WORK)
