"""The log groups that SageMaker's jobs write to, encrypted and kept for a year."""

from typing import Final

from aws_cdk import RemovalPolicy
from aws_cdk import aws_kms as kms
from aws_cdk import aws_logs as logs
from constructs import Construct

__all__ = ["JobLogs"]

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
            logs.LogGroup(
                self,
                name.rpartition("/")[2],
                log_group_name=name,
                retention=logs.RetentionDays.ONE_YEAR,
                encryption_key=key,
                removal_policy=removal_policy,
            )
