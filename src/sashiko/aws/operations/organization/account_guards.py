"""What nobody does in an account of the project, whatever runs there.

Sources: "General examples" of service control policies, AWS Organizations User Guide (regions, and
that global services have their endpoints in us-east-1); "AWS global condition context keys", IAM
User Guide (`aws:AssumedRoot`); "Deny access to AWS based on the requested AWS Region", AWS Control
Tower (the two roles that change accounts for the landing zone).
"""

from typing import Final

from sashiko.aws.operations.organization.accounts import Accounts
from sashiko.aws.operations.organization.policy import Statement, deny, except_for

# Of Control Tower and of StackSets: they start and stop recorders and trails for the organization.
_LANDING_ZONE: Final = (
    "arn:aws:iam::*:role/AWSControlTowerExecution",
    "arn:aws:iam::*:role/stacksets-exec-*",
)
# Services without regions that the project calls, or that an account's people need: bills, health,
# support. Each has its endpoint in us-east-1, wherever the environments are. AWS Marketplace has
# endpoints in few regions, and Bedrock subscribes to another provider's model there at its first
# call ("Request access to models", Amazon Bedrock User Guide).
_GLOBAL: Final = (
    "account:*",
    "aws-marketplace:*",
    "aws-portal:*",
    "billing:*",
    "budgets:*",
    "ce:*",
    "cloudtrail:LookupEvents",
    "consolidatedbilling:*",
    "cur:*",
    "ec2:DescribeRegions",
    "freetier:*",
    "health:*",
    "iam:*",
    "invoicing:*",
    "organizations:*",
    "payments:*",
    "pricing:*",
    "route53:*",
    "s3:GetAccountPublicAccessBlock",
    "s3:ListAllMyBuckets",
    "savingsplans:*",
    "sts:*",
    "support:*",
    "tax:*",
    "trustedadvisor:*",
)
_TRACES: Final = (
    "access-analyzer:DeleteAnalyzer",
    "cloudtrail:DeleteTrail",
    "cloudtrail:PutEventSelectors",
    "cloudtrail:StopLogging",
    "cloudtrail:UpdateTrail",
    "config:DeleteConfigurationRecorder",
    "config:DeleteDeliveryChannel",
    "config:StopConfigurationRecorder",
    "guardduty:DeleteDetector",
    "guardduty:DisassociateFromAdministratorAccount",
    "guardduty:DisassociateFromMasterAccount",
    "guardduty:UpdateDetector",
    "securityhub:DisableSecurityHub",
    "securityhub:DisassociateFromAdministratorAccount",
)
_LASTING_CREDENTIALS: Final = (
    "iam:CreateAccessKey",
    "iam:CreateLoginProfile",
    "iam:CreateServiceSpecificCredential",
    "iam:CreateUser",
    "iam:UploadSSHPublicKey",
)
_PROVIDERS: Final = (
    "iam:CreateOpenIDConnectProvider",
    "iam:CreateSAMLProvider",
    "iam:UpdateSAMLProvider",
)


def account_guards(accounts: Accounts) -> tuple[Statement, ...]:
    """Returns the statements of the policy of all accounts."""
    return (
        deny(
            "AccountStaysInTheOrganization",
            [
                "account:CloseAccount",
                "account:DisableRegion",
                "account:EnableRegion",
                "organizations:LeaveOrganization",
            ],
        ),
        # But sessions that the management account opens by sts:AssumeRoot for one task.
        deny(
            "NoRootUser",
            ["*"],
            conditions={
                "ArnLike": {"aws:PrincipalArn": ["arn:aws:iam::*:root"]},
                "Null": {"aws:AssumedRoot": "true"},
            },
        ),
        {
            "Sid": "RegionsOfTheProject",
            "Effect": "Deny",
            "NotAction": list(_GLOBAL),
            "Resource": ["*"],
            "Condition": {
                "StringNotEquals": {"aws:RequestedRegion": accounts.regions()},
                **except_for(_LANDING_ZONE),
            },
        },
        deny("TracesStay", _TRACES, conditions=except_for(_LANDING_ZONE)),
        deny("NoLastingCredentials", _LASTING_CREDENTIALS),
        deny("NoOtherProviders", _PROVIDERS, conditions=except_for(accounts.deployers())),
        deny("NoPublicBuckets", ["s3:PutAccountPublicAccessBlock"]),
    )
