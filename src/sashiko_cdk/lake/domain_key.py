"""One KMS key per data domain; the account's IAM policies control its use."""

from typing import Final

from aws_cdk import RemovalPolicy
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
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
        if domain == "logs":
            self.add_to_resource_policy(_log_groups(settings))


def _log_groups(settings: Settings) -> iam.PolicyStatement:
    """CloudWatch Logs encrypts as itself, for the log groups of this environment alone."""
    place = f"arn:aws:logs:{settings.region}:{settings.account}:log-group"
    groups = [f"{place}:*{prefix(settings)}-*", f"{place}:/{prefix(settings)}/*"]
    return iam.PolicyStatement(
        principals=[iam.ServicePrincipal(f"logs.{settings.region}.amazonaws.com")],
        actions=list(FOR_LOGS),
        resources=["*"],  # of a key's policy: the key itself
        conditions={"ArnLike": {"kms:EncryptionContext:aws:logs:arn": groups}},
    )
