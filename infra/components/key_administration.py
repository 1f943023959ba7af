"""What CloudFormation does to a key that it made, and never: use it."""

from aws_cdk import aws_iam as iam

from sashiko.aws.names import exec_role_arn
from sashiko.settings import Settings

KEY_ADMINISTRATION = (
    "kms:CreateAlias",
    "kms:DeleteAlias",
    "kms:DescribeKey",
    "kms:EnableKeyRotation",
    "kms:GetKeyPolicy",
    "kms:GetKeyRotationStatus",
    "kms:ListResourceTags",
    "kms:PutKeyPolicy",
    "kms:ScheduleKeyDeletion",
    "kms:TagResource",
    "kms:UntagResource",
    "kms:UpdateAlias",
    "kms:UpdateKeyDescription",
)


def administration(settings: Settings) -> iam.PolicyStatement:
    """Lets CloudFormation's role administer a key, in the key's own policy.

    The role's policy allows the same by the key's tag, but a tag may take five minutes to count,
    and KMS refuses a new key whose maker could not change its policy again.
    """
    return iam.PolicyStatement(
        sid="CloudFormationAdministers",
        principals=[iam.ArnPrincipal(exec_role_arn(settings))],
        actions=list(KEY_ADMINISTRATION),
        resources=["*"],  # of a key's policy: the key itself
    )
