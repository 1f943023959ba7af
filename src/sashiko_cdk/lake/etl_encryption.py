"""The encryption of what the lake's Glue jobs write."""

from aws_cdk import aws_glue as glue

from sashiko.account.names import prefix
from sashiko_cdk.functions.content_id import content_id
from sashiko_cdk.lake.domain_key import DomainKey
from sashiko_cdk.stack import EnvironmentStack

__all__ = ["add_etl_encryption"]


def add_etl_encryption(
    stack: EnvironmentStack, *, lake_key: DomainKey, logs_key: DomainKey
) -> glue.CfnSecurityConfiguration:
    """Adds the encryption of what Glue jobs write to a stack.

    Args:
        stack: the stack.
        lake_key: encrypts data and bookmarks.
        logs_key: encrypts logs.

    Returns:
        The security configuration of the jobs.
    """
    config = glue.CfnSecurityConfiguration
    encryption = config.EncryptionConfigurationProperty(
        cloud_watch_encryption=config.CloudWatchEncryptionProperty(
            cloud_watch_encryption_mode="SSE-KMS", kms_key_arn=logs_key.key_arn
        ),
        job_bookmarks_encryption=config.JobBookmarksEncryptionProperty(
            job_bookmarks_encryption_mode="CSE-KMS", kms_key_arn=lake_key.key_arn
        ),
        s3_encryptions=[
            config.S3EncryptionProperty(s3_encryption_mode="SSE-KMS", kms_key_arn=lake_key.key_arn)
        ],
    )
    # Glue cannot update one: changed content needs a new name, or it "already exists".
    id_ = content_id(stack, "GlueSecurity", encryption)
    name = f"{prefix(stack.settings)}-{id_.removeprefix('GlueSecurity')}"
    return config(stack, id_, name=name, encryption_configuration=encryption)
