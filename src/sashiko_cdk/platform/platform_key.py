"""The key of what is about the platform itself, and the log groups of SageMaker's jobs under it."""

from typing import Final

from aws_cdk import RemovalPolicy
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from constructs import Construct

from sashiko.account.names import prefix
from sashiko.settings.environment import Settings
from sashiko_cdk.lake.domain_key import DomainKey, encrypt_logs, log_group

__all__ = ["JobLogs", "PlatformKey"]

# SageMaker fixes their names per account and region; a job creates a missing group without
# retention.
JOB_LOG_GROUPS: Final = ("/aws/sagemaker/ProcessingJobs", "/aws/sagemaker/TrainingJobs")


class JobLogs(Construct):
    """SageMaker's log groups, made by one environment of an account."""

    def __init__(
        self, scope: Construct, id: str, *, key: kms.IKey, removal_policy: RemovalPolicy
    ) -> None:
        super().__init__(scope, id)
        for name in JOB_LOG_GROUPS:
            log_group(self, name.rpartition("/")[2], name, key=key, removal_policy=removal_policy)


class PlatformKey(DomainKey):
    """A domain's key that the services may use which encrypt as themselves."""

    def __init__(
        self, scope: Construct, id: str, *, settings: Settings, removal_policy: RemovalPolicy
    ) -> None:
        super().__init__(
            scope, id, settings=settings, domain="platform", removal_policy=removal_policy
        )
        encrypt_logs(self, settings, JOB_LOG_GROUPS, sid="LogsOfJobs", operator="ArnEquals")
        encrypt_logs(self, settings, [f"/{prefix(settings)}/*"], sid="LogsOfFunctionsAndBuilds")
        self.add_to_resource_policy(
            iam.PolicyStatement(
                sid="AlertsOfBudgets",
                principals=[iam.ServicePrincipal("budgets.amazonaws.com")],
                actions=["kms:Decrypt", "kms:GenerateDataKey"],
                resources=["*"],
                conditions={"StringEquals": {"aws:SourceAccount": settings.account}},
            )
        )
