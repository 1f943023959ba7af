"""The key of what is about the platform itself: images, alerts, the logs of jobs."""

from aws_cdk import RemovalPolicy
from aws_cdk import aws_iam as iam
from constructs import Construct

from sashiko.account.names import prefix
from sashiko.settings.environment import Settings
from sashiko_cdk.lake.domain_key import FOR_LOGS, DomainKey
from sashiko_cdk.platform.job_logs import JOB_LOG_GROUPS

__all__ = ["PlatformKey"]


class PlatformKey(DomainKey):
    """A domain's key that the services may use which encrypt as themselves."""

    def __init__(
        self, scope: Construct, id: str, *, settings: Settings, removal_policy: RemovalPolicy
    ) -> None:
        super().__init__(
            scope, id, settings=settings, domain="platform", removal_policy=removal_policy
        )
        name_prefix = prefix(settings)
        groups = f"arn:aws:logs:{settings.region}:{settings.account}:log-group"
        self.add_to_resource_policy(
            iam.PolicyStatement(
                sid="LogsOfJobs",
                principals=[iam.ServicePrincipal(f"logs.{settings.region}.amazonaws.com")],
                actions=list(FOR_LOGS),
                resources=["*"],  # of a key's policy: the key itself
                conditions={
                    "ArnEquals": {
                        "kms:EncryptionContext:aws:logs:arn": [
                            f"{groups}:{name}" for name in JOB_LOG_GROUPS
                        ]
                    }
                },
            )
        )
        self.add_to_resource_policy(
            iam.PolicyStatement(
                sid="LogsOfFunctionsAndBuilds",
                principals=[iam.ServicePrincipal(f"logs.{settings.region}.amazonaws.com")],
                actions=list(FOR_LOGS),
                resources=["*"],
                conditions={
                    "ArnLike": {"kms:EncryptionContext:aws:logs:arn": f"{groups}:/{name_prefix}/*"}
                },
            )
        )
        self.add_to_resource_policy(
            iam.PolicyStatement(
                sid="AlertsOfBudgets",
                principals=[iam.ServicePrincipal("budgets.amazonaws.com")],
                actions=["kms:Decrypt", "kms:GenerateDataKey"],
                resources=["*"],
                conditions={"StringEquals": {"aws:SourceAccount": settings.account}},
            )
        )
