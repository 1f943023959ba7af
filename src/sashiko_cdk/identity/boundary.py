"""The permissions boundary: what no role of the project may do, whatever a policy grants it.

`make bootstrap` creates it with the caller's own credentials: a boundary that CloudFormation could
change would not limit whoever deploys.
"""

from collections.abc import Sequence
from typing import Final

from aws_cdk import aws_iam as iam
from constructs import Construct

from sashiko.account.names import (
    BootstrapRole,
    bootstrap_policy_arn,
    bootstrap_policy_name,
    bootstrap_role_arn,
)
from sashiko.packs import load_packs
from sashiko.settings.environment import Settings
from sashiko_cdk.identity.allow import deny
from sashiko_cdk.security_rules.acknowledge import acknowledge

# Grants, what grants refer to (tags, filters, locations), and who may read by IAM alone. A column
# under another tag is open without a grant. "Actions, resources, and condition keys for AWS Lake
# Formation" of the Service Authorization Reference lists all actions, and no resource or condition
# key for these. Revocations are missing: they close.
GOVERNING: Final = (
    "lakeformation:AddLFTagsToResource",
    "lakeformation:BatchGrantPermissions",
    "lakeformation:CreateDataCellsFilter",
    "lakeformation:CreateLFTag",
    "lakeformation:CreateLFTagExpression",
    "lakeformation:CreateLakeFormationOptIn",
    "lakeformation:DeleteDataCellsFilter",
    "lakeformation:DeleteLFTag",
    "lakeformation:DeleteLFTagExpression",
    "lakeformation:DeregisterResource",
    "lakeformation:GrantPermissions",
    "lakeformation:RegisterResource",
    "lakeformation:RegisterResourceWithPrivilegedAccess",
    "lakeformation:RemoveLFTagsFromResource",
    "lakeformation:UpdateDataCellsFilter",
    "lakeformation:UpdateLFTag",
    "lakeformation:UpdateLFTagExpression",
    "lakeformation:UpdateResource",
)
# The services that the roles use. A policy that allows another action has no effect without a line
# here, and a test names it: so no later policy can start an instance or create a function or user.
_WORK = [
    "application-autoscaling:DeleteScheduledAction",
    "application-autoscaling:DescribeScalableTargets",
    "application-autoscaling:PutScheduledAction",
    "application-autoscaling:RegisterScalableTarget",
    "athena:*",
    "cloudwatch:DescribeAlarms",
    "cloudwatch:GetMetricStatistics",
    "cloudwatch:PutMetricData",
    "codebuild:BatchGetBuilds",
    "codebuild:StartBuild",
    "codeartifact:GetAuthorizationToken",
    "codeartifact:ReadFromRepository",
    "ec2:*NetworkInterface*",
    "ec2:Describe*",
    "ecr:*",
    "events:PutEvents",
    "glue:*",
    "iam:PassRole",
    "kms:*",
    "lakeformation:*",
    "lambda:InvokeFunction",
    "logs:*",
    "s3:*",
    "sagemaker:*",
    "sns:Publish",
    "states:StartExecution",
    "sts:*",
]
# Permissions, trust and the lake's grants change by a deploy, under CloudFormation's own role.
_ESCALATION = [
    "iam:Add*",
    "iam:Attach*",
    "iam:Create*",
    "iam:Delete*",
    "iam:Detach*",
    "iam:Put*",
    "iam:Remove*",
    "iam:Set*",
    "iam:Update*",
    "organizations:*",
    "account:*",
]
_SAFEGUARDS = [
    "cloudtrail:DeleteTrail",
    "cloudtrail:PutEventSelectors",
    "cloudtrail:StopLogging",
    "cloudtrail:UpdateTrail",
    "config:DeleteConfigurationRecorder",
    "config:StopConfigurationRecorder",
    "ec2:DeleteFlowLogs",
    "ec2:ModifyVpcEndpoint",
    "guardduty:DeleteDetector",
    "kms:DisableKey",
    "kms:DisableKeyRotation",
    "kms:PutKeyPolicy",
    "kms:ScheduleKeyDeletion",
    "logs:DeleteLogGroup",
    "logs:DeleteLogStream",
    "logs:DisassociateKmsKey",
    "logs:PutRetentionPolicy",
    "s3:BypassGovernanceRetention",
    "s3:DeleteBucket",
    "s3:DeleteBucketPolicy",
    "s3:DeleteObjectVersion",
    "s3:PutBucketAcl",
    "s3:PutBucketLogging",
    "s3:PutBucketPolicy",
    "s3:PutBucketPublicAccessBlock",
    "s3:PutBucketVersioning",
    "s3:PutEncryptionConfiguration",
    "s3:PutLifecycleConfiguration",
    "s3:PutObjectAcl",
]
CAPS_ALONE: Final = (
    "A boundary caps and never grants: what a role may do is the intersection with its own "
    "policies, which name actions and resources."
)
# Findings of the security reports, which read a boundary as a policy that grants.
CAP_FINDINGS: Final = (
    "CKV_AWS_107",
    "CKV_AWS_108",
    "CKV_AWS_109",
    "CKV_AWS_110",
    "CKV_AWS_111",
    "NIST-IAMPolicyNoStatementsWithFullAccess",
)
# Services without a region: the deny of other regions must not block them.
_GLOBAL = ["iam:*", "sts:*"]


def boundary_of(scope: Construct, settings: Settings) -> iam.IManagedPolicy:
    """Returns a reference to the boundary, for a role."""
    arn = bootstrap_policy_arn(settings, "boundary")
    return iam.ManagedPolicy.from_managed_policy_arn(scope, "Boundary", arn)


class Boundary(iam.ManagedPolicy):
    """The permissions boundary of all roles: it grants nothing and caps everything."""

    def __init__(self, scope: Construct, id: str, *, settings: Settings) -> None:
        packs = load_packs(settings.packs, source="settings")
        work = sorted({*_WORK, *(action for pack in packs for action in pack.actions)})
        parts: tuple[BootstrapRole, ...] = ("deploy", "file-publishing", "lookup")
        settings_function = (
            f"arn:aws:iam::{settings.account}:role/{settings.project}-*-lake-settings"
        )
        revoking = ("lakeformation:BatchRevokePermissions", "lakeformation:RevokePermissions")
        super().__init__(
            scope,
            id,
            managed_policy_name=bootstrap_policy_name(settings, "boundary"),
            description="What no role of this project may ever do; it grants nothing",
            statements=[
                iam.PolicyStatement(sid="CapOnly", actions=work, resources=["*"]),
                deny("NoGrants", [*GOVERNING, *revoking]),
                deny(
                    "SettingsByTheirFunction",
                    ["lakeformation:PutDataLakeSettings"],
                    conditions={"ArnNotLike": {"aws:PrincipalArn": settings_function}},
                ),
                deny(
                    "NoRoleChaining",
                    ["sts:AssumeRole"],
                    not_resources=[bootstrap_role_arn(settings, part) for part in parts],
                ),
                *shared_limits(settings),
            ],
        )
        acknowledge_cap(self, work)


def shared_limits(settings: Settings) -> list[iam.PolicyStatement]:
    """Returns what every boundary denies: escalation, changed builds, writing elsewhere.

    A build does what its project says: commands, image, role and privileges ("Prevent unauthorized
    modifications to project buildspec", "AWS CodeBuild condition keys", CodeBuild User Guide):
    `Null` says whether the request overrides the member. No role retries a build, which no key
    describes.
    """
    members = ("source.buildspec", "environment.image", "environment.privilegedMode", "serviceRole")
    return [
        *(
            deny(
                f"BuildsAsWritten{number}",
                ["codebuild:StartBuild", "codebuild:StartBuildBatch"],
                conditions={"Null": {f"codebuild:{member}": "false"}},
            )
            for number, member in enumerate(members, start=1)
        ),
        deny("NoRetriedBuilds", ["codebuild:RetryBuild", "codebuild:RetryBuildBatch"]),
        deny("NoEscalation", _ESCALATION),
        deny("SafeguardsStay", _SAFEGUARDS),
        iam.PolicyStatement(
            sid="StayInRegion",
            effect=iam.Effect.DENY,
            not_actions=_GLOBAL,
            resources=["*"],
            conditions={"StringNotEquals": {"aws:RequestedRegion": settings.region}},
        ),
        # The containers' images and the region's own buckets belong to AWS's accounts, so reading
        # is left to policies and endpoints; writing elsewhere is leaking.
        deny(
            "WriteAtHome",
            ["s3:PutObject", "s3:ReplicateObject", "sqs:SendMessage"],
            conditions={"StringNotEquals": {"aws:ResourceAccount": settings.account}},
        ),
    ]


def acknowledge_cap(boundary: iam.ManagedPolicy, work: Sequence[str]) -> None:
    """Acknowledges the wildcards of a boundary, which reports read as a policy that grants."""
    wildcards = ["Resource::*", *(f"Action::{action}" for action in work if "*" in action)]
    findings = [*(f"IAM5[{wildcard}]" for wildcard in wildcards), *CAP_FINDINGS]
    acknowledge(boundary, dict.fromkeys(findings, CAPS_ALONE))
