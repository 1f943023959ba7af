"""The scope of CloudFormation's permissions: the project's names, the boundary, the code."""

from typing import Any, Final

from sashiko.account.names import bootstrap_policy_arn
from sashiko.settings.environment import Settings

NAMED: Final = "All names of the project begin with its prefix; environments are not known here."


def with_boundary(settings: Settings, operator: str) -> dict[str, Any]:
    """Returns the condition that a role has the boundary, or, with `ArnNotEquals`, has not."""
    return {operator: {"iam:PermissionsBoundary": bootstrap_policy_arn(settings, "boundary")}}


def assets_bucket(settings: Settings) -> str:
    """Returns the ARN of the bootstrap's bucket of templates and code."""
    return f"arn:aws:s3:::cdk-{settings.qualifier}-assets-{settings.account}-{settings.region}"


def of_assets(settings: Settings, operator: str) -> dict[str, dict[str, list[str]]]:
    """Returns the condition that a decrypted object is, or (`StringNotLike`) is not, an asset."""
    bucket = assets_bucket(settings)
    # S3 names the bucket if it has a bucket key, else the object.
    return {operator: {"kms:EncryptionContext:aws:s3:arn": [bucket, f"{bucket}/*"]}}
