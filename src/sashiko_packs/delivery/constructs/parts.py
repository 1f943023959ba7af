"""What the constructs of the delivery share: stores, parts, names, and the roles' boundary."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, cast

from aws_cdk import Duration, RemovalPolicy
from aws_cdk import aws_iam as iam
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_sns as sns
from constructs import Construct

from sashiko.account.names import (
    BootstrapRole,
    alerts_topic_name,
    arn,
    bootstrap_policy_name,
    bootstrap_role_arn,
    model_build_role_arn,
    prefix,
)
from sashiko.errors import InputError
from sashiko.settings.delivery import approved_stages
from sashiko.settings.environment import Settings
from sashiko.settings.tools import Tools
from sashiko_cdk.identity.boundary import acknowledge_cap, deny, shared_limits
from sashiko_cdk.lake.domain_key import FOR_LOGS, DomainKey
from sashiko_cdk.lake.private_bucket import PrivateBucket
from sashiko_cdk.security_rules.acknowledge import acknowledge

CACHE = "cache/"  # folder of the caches, one below it for each part
_KEPT = Duration.days(90)
_CACHED = Duration.days(30)
_ACCESS_LOGS = Duration.days(400)


class Stores(Construct):
    """The stores of the pipeline. Everything in them is made again by the next execution.

    Attributes:
        key: encrypts all of it, and the logs.
        artifacts: the bucket of artifacts and caches. No other account reads it: the deploys run
            here and publish through the environments' own roles.
        topic: hears of what failed and of what waits for an approval.
    """

    def __init__(
        self, scope: Construct, id: str, *, tools: Tools, removal_policy: RemovalPolicy
    ) -> None:
        """Makes the key, the buckets and the topic."""
        super().__init__(scope, id)
        settings = tools.settings
        self.key = DomainKey(
            self, "Key", settings=settings, domain="platform", removal_policy=removal_policy
        )
        groups = f"arn:aws:logs:{settings.region}:{settings.account}:log-group"
        self.key.add_to_resource_policy(
            iam.PolicyStatement(
                sid="LogsOfBuilds",
                principals=[iam.ServicePrincipal(f"logs.{settings.region}.amazonaws.com")],
                actions=list(FOR_LOGS),
                resources=["*"],  # of a key's policy: the key itself
                conditions={
                    "ArnLike": {
                        "kms:EncryptionContext:aws:logs:arn": f"{groups}:/{prefix(settings)}/*"
                    }
                },
            )
        )
        access = PrivateBucket(
            self,
            "AccessLogs",
            settings=settings,
            bucket="logs",
            removal_policy=removal_policy,
            key=None,
            logs=None,
            expiring=[s3.LifecycleRule(expiration=_ACCESS_LOGS)],
        )
        self.artifacts = PrivateBucket(
            self,
            "Artifacts",
            settings=settings,
            bucket="artifacts",
            removal_policy=removal_policy,
            key=self.key,
            logs=access,
            expiring=[
                s3.LifecycleRule(expiration=_KEPT),
                s3.LifecycleRule(prefix=CACHE, expiration=_CACHED),
            ],
        )
        _explain(access)
        self.topic = sns.Topic(
            self,
            "Alerts",
            topic_name=alerts_topic_name(settings),
            master_key=self.key,
            enforce_ssl=True,
        )
        self._subscribe(tools)

    def _subscribe(self, tools: Tools) -> None:
        """Subscribes whom the stages' settings name, in the topic's own resource, as Spending."""
        emails: Sequence[str] = sorted({e for stage in tools.stages for e in stage.alerts.emails})
        cast(sns.CfnTopic, self.topic.node.default_child).subscription = [
            sns.CfnTopic.SubscriptionProperty(protocol="email", endpoint=email) for email in emails
        ] or None


def _explain(access: PrivateBucket) -> None:
    why = "S3 delivers access logs only to a bucket under S3's own key"
    acknowledge(
        access,
        {
            "CKV_AWS_18": "It is where access is logged: logging its own would never end",
            "NIST-S3DefaultEncryptionKMS": why,
            "customer-key": why,
        },
    )
    if access.policy:
        logical = access.stack.resolve(access.bucket_arn)["Fn::GetAtt"][0]
        reason = "S3 names the log objects; the bucket's lie below its own prefix"
        acknowledge(access.policy, {f"wildcard[Resource::<{logical}.Arn>/artifacts/*]": reason})


Kind = Literal["test", "synth", "difference", "deploy"]
# What a part assumes in the account that it compares with or deploys to.
ASSUMED: Mapping[Kind, tuple[BootstrapRole, ...]] = {
    "test": (),
    "synth": (),
    "difference": ("lookup",),
    "deploy": ("deploy", "file-publishing", "lookup"),
}


@dataclass(frozen=True, kw_only=True)
class Part:
    """A CodeBuild project of the pipeline.

    Attributes:
        tools: the settings that its name follows from.
        kind: what it does.
        place: the environment, or the tools' account itself, that it compares with or deploys to.
    """

    tools: Settings
    kind: Kind
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
    def log_group(self) -> str:
        """The name of its log group."""
        return f"/{prefix(self.tools)}/{self.id}"

    @property
    def project_arn(self) -> str:
        """The ARN of its project."""
        return arn(self.tools, "codebuild", f"project/{self.name}")

    @property
    def assumes(self) -> tuple[str, ...]:
        """The ARNs of the roles that it assumes."""
        roles = ASSUMED[self.kind]
        return tuple(bootstrap_role_arn(self.place, role) for role in roles) if self.place else ()


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
    account, and what builds and tests a commit must reach none.
    """

    def __init__(self, scope: Construct, id: str, *, tools: Tools) -> None:
        """Makes the boundary.

        Raises:
            InputError: if the stages are too many for one policy.
        """
        settings = tools.settings
        statements = [
            iam.PolicyStatement(sid="CapOnly", actions=_WORK, resources=["*"]),
            *shared_limits(settings),
            *_own_accounts(tools),
            *_models(tools),
        ]
        size = len(
            json.dumps([item.to_statement_json() for item in statements], separators=(",", ":"))
        )
        if size > _CHARACTERS:
            raise InputError(
                f"config/delivery.yaml: key `stages`: the boundary of {len(tools.stages)} stages "
                f"has {size} characters, and a policy takes {_CHARACTERS}: deliver to fewer"
            )
        super().__init__(
            scope,
            id,
            managed_policy_name=bootstrap_policy_name(settings, "boundary"),
            description="What no role of the pipeline that delivers may ever do; it grants nothing",
            statements=statements,
        )
        acknowledge_cap(self, _WORK)


def _own_accounts(tools: Tools) -> list[iam.PolicyStatement]:
    """Denies to each environment's roles all roles but those of its own account's bootstrap."""
    roles = f"arn:aws:iam::{tools.settings.account}:role/{prefix(tools.settings)}"
    denied = []
    for place in places_of(tools):
        own = [bootstrap_role_arn(place, role) for role in ASSUMED["deploy"]]
        denied.append(
            iam.PolicyStatement(
                sid=f"Only{place.environment.title()}",
                effect=iam.Effect.DENY,
                actions=["sts:AssumeRole"],
                not_resources=own,
                conditions={"ArnLike": {"aws:PrincipalArn": f"{roles}-{place.environment}-*"}},
            )
        )
    deployers = [f"{roles}-{place.environment}-*" for place in places_of(tools)]
    deployers.append(model_build_role_arn(tools))
    others = {"ArnNotLike": {"aws:PrincipalArn": deployers}}
    return [*denied, deny("NoOtherRoles", ["sts:AssumeRole"], conditions=others)]


def _models(tools: Tools) -> list[iam.PolicyStatement]:
    """Limits the build that delivers approved models, which alone pushes.

    It reads registries, and deploys nothing. A connection's token can do what its app may.
    """
    build = {"aws:PrincipalArn": model_build_role_arn(tools)}
    return [
        iam.PolicyStatement(
            sid="ModelsReadAlone",
            effect=iam.Effect.DENY,
            actions=["sts:AssumeRole"],
            not_resources=[stage.role_arn("endpoint-deployer") for stage in tools.stages],
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
            conditions={
                "ArnNotEquals": build,
                "StringEquals": {"codeconnections:ProviderPermissionsRequired": "read_write"},
            },
        ),
    ]
