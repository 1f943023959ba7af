"""What the pipeline keeps: artifacts and caches under one key, and the topic of its alerts."""

from collections.abc import Sequence
from typing import cast

from aws_cdk import Duration, RemovalPolicy
from aws_cdk import aws_iam as iam
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_sns as sns
from constructs import Construct

from sashiko.account.names import alerts_topic_name, prefix
from sashiko.settings.tools import Tools
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
