"""The deployer reads only what it staged itself, to verify checksums, and no data."""

from aws_cdk import aws_iam as iam

from sashiko.account.names import bucket_name
from sashiko.settings.environment import Settings
from sashiko_cdk.identity.role_table import STAGED


def staging_limits(settings: Settings) -> list[iam.PolicyStatement]:
    """Returns the denials for the deployer, whatever a later policy allows it.

    The buckets have bucket keys, so the encryption context is the bucket's ARN. A request without
    that context is denied too.
    """
    bucket = f"arn:aws:s3:::{bucket_name(settings, 'artifacts')}"
    return [
        iam.PolicyStatement(
            sid="ReadsStagedAlone",
            effect=iam.Effect.DENY,
            actions=["s3:GetObject*"],
            not_resources=[f"{bucket}/{keys}" for keys in STAGED],
        ),
        iam.PolicyStatement(
            sid="DecryptsForStagedAlone",
            effect=iam.Effect.DENY,
            actions=["kms:Decrypt"],
            resources=["*"],
            conditions={"StringNotEquals": {"kms:EncryptionContext:aws:s3:arn": bucket}},
        ),
    ]
