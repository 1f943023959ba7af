"""One KMS key per data domain, and the log groups under one; IAM policies control a key's use."""

from collections.abc import Sequence
from typing import Final

from aws_cdk import RemovalPolicy
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_logs as logs
from constructs import Construct

from sashiko.account.names import KeyDomain, key_alias, prefix
from sashiko.settings.environment import Settings

__all__ = ["DomainKey", "KeyDomain"]

# What CloudWatch Logs does with a group's key. AWS's sample has them by `kms:ReEncrypt*` and
# `kms:GenerateDataKey*` ("Encrypt log data in CloudWatch Logs", encrypt-log-data-kms.html).
FOR_LOGS: Final = (
    "kms:Decrypt",
    "kms:DescribeKey",
    "kms:Encrypt",
    "kms:GenerateDataKey",
    "kms:GenerateDataKeyWithoutPlaintext",
    "kms:ReEncryptFrom",
    "kms:ReEncryptTo",
)


class DomainKey(kms.Key):
    """A rotating key with a fixed alias.

    Its policy names the account and services, not roles: other stacks create and delete the roles,
    and a key that named them could not be created before them or retained after them.
    """

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        settings: Settings,
        domain: KeyDomain,
        removal_policy: RemovalPolicy,
    ) -> None:
        super().__init__(
            scope,
            id,
            description=f"{prefix(settings)}: {domain}",
            enable_key_rotation=True,
            removal_policy=removal_policy,
        )
        # The alias shows which key a retained bucket needs after the stack is deleted.
        self.add_alias(key_alias(settings, domain)).apply_removal_policy(removal_policy)
        if domain == "logs":  # of this environment's log groups
            groups = [f"*{prefix(settings)}-*", f"/{prefix(settings)}/*"]
            encrypt_logs(self, settings, groups)


def encrypt_logs(
    key: kms.Key,
    settings: Settings,
    groups: Sequence[str],
    *,
    sid: str | None = None,
    operator: str = "ArnLike",
) -> None:
    """Lets CloudWatch Logs, which encrypts as itself, use a key for these groups alone."""
    place = f"arn:aws:logs:{settings.region}:{settings.account}:log-group"
    arns = [f"{place}:{group}" for group in groups]
    context = {"kms:EncryptionContext:aws:logs:arn": arns if len(arns) > 1 else arns[0]}
    key.add_to_resource_policy(
        iam.PolicyStatement(
            sid=sid,
            principals=[iam.ServicePrincipal(f"logs.{settings.region}.amazonaws.com")],
            actions=list(FOR_LOGS),
            resources=["*"],  # of a key's policy: the key itself
            conditions={operator: context},
        )
    )


def log_group(
    scope: Construct, id: str, name: str, *, key: kms.IKey | None, removal_policy: RemovalPolicy
) -> logs.LogGroup:
    """Makes a log group that keeps a year."""
    return logs.LogGroup(
        scope,
        id,
        log_group_name=name,
        retention=logs.RetentionDays.ONE_YEAR,
        encryption_key=key,
        removal_policy=removal_policy,
    )
