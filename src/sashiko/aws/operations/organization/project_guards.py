"""What only CloudFormation, or one role of an environment, does to the project's own resources.

The stacks' policies say the same from inside the accounts. Whoever administers an account can
change those; nobody in an account can change these.
"""

from typing import Final

from sashiko.aws.operations.organization.accounts import Accounts
from sashiko.aws.operations.organization.policy import Statement, deny, except_for
from sashiko.aws.resources.lake_actions import GOVERNING
from sashiko.aws.resources.names import exec_role_arn, registering
from sashiko.settings.environment import Settings

# Without iam:PutRolePolicy: `Revoke active sessions` writes an inline policy, and has to be
# possible at once where somebody has misused a role.
_ROLES: Final = (
    "iam:AttachRolePolicy",
    "iam:CreateRole",
    "iam:DeleteRole",
    "iam:DeleteRolePermissionsBoundary",
    "iam:PutRolePermissionsBoundary",
    "iam:UpdateAssumeRolePolicy",
)
# TagResource too: the guards know a key by its tag.
_KEYS: Final = (
    "kms:DisableKey",
    "kms:DisableKeyRotation",
    "kms:PutKeyPolicy",
    "kms:ScheduleKeyDeletion",
    "kms:TagResource",
    "kms:UntagResource",
)
_BUCKETS: Final = (
    "s3:PutBucketOwnershipControls",
    "s3:PutBucketPublicAccessBlock",
    "s3:PutBucketVersioning",
    "s3:PutEncryptionConfiguration",
)
_WAYS_OUT: Final = (
    "ec2:AcceptVpcPeeringConnection",
    "ec2:AttachInternetGateway",
    "ec2:AttachVpnGateway",
    "ec2:CreateEgressOnlyInternetGateway",
    "ec2:CreateNatGateway",
    "ec2:CreateTransitGatewayVpcAttachment",
    "ec2:CreateVpcPeeringConnection",
)


def project_guards(accounts: Accounts) -> tuple[Statement, ...]:
    """Returns the statements about roles, keys, model versions, buckets and networks."""
    own = {"StringEquals": {"aws:ResourceTag/project": accounts.projects()}}
    by_deploy = except_for(accounts.deployers())
    signers = except_for(accounts.roles(registering))
    sagemaker = "arn:aws:sagemaker:{region}:{account}:"
    versions = accounts.arns(f"{sagemaker}model-package/{{prefix}}-*", in_tools=False)
    groups = accounts.arns(f"{sagemaker}model-package-group/{{prefix}}-*", in_tools=False)
    return (
        deny(
            "RolesByDeploy",
            _ROLES,
            resources=accounts.arns("arn:aws:iam::{account}:role/{prefix}-*"),
            conditions=by_deploy,
        ),
        deny("KeysByDeploy", _KEYS, conditions={**own, **by_deploy}),
        deny(
            "AliasesByDeploy",
            ["kms:CreateAlias", "kms:DeleteAlias", "kms:UpdateAlias"],
            resources=accounts.arns("arn:aws:kms:{region}:{account}:alias/{prefix}-*"),
            conditions=by_deploy,
        ),
        deny("SignedByRegistrars", ["kms:Sign"], conditions={**own, **signers}),
        deny(
            "RegisteredByRegistrars",
            ["sagemaker:CreateModelPackage"],
            resources=[*versions, *groups],
            conditions=signers,
        ),
        deny(
            "DecidedByApprovers",
            ["sagemaker:UpdateModelPackage"],
            resources=versions,
            conditions=except_for(accounts.roles(lambda _: ("approver",))),
        ),
        deny(
            "BucketsStayClosed",
            _BUCKETS,
            resources=accounts.arns("arn:aws:s3:::{prefix}-*"),
            conditions=by_deploy,
        ),
        # A zonal NAT gateway is made in a subnet, a regional one in a VPC.
        deny(
            "NoWayOut",
            _WAYS_OUT,
            resources=["arn:aws:ec2:*:*:subnet/*", "arn:aws:ec2:*:*:vpc/*"],
            conditions=own,
        ),
    )


def lake_guards(accounts: Accounts) -> tuple[Statement, ...]:
    """Returns the statement about Lake Formation; none where the project does not govern it.

    No condition distinguishes a grant to IAMAllowedPrincipals from another one (`GOVERNING`), so a
    deploy alone grants.
    """
    governed = {one.account for one in accounts.environments if _governs(one)}
    if not governed:
        return ()
    there = [place for place in accounts.places if place.account in governed]
    callers = {exec_role_arn(place) for place in there}
    callers |= {one.role_arn("lake-settings") for one in accounts.environments if _governs(one)}
    where = {"StringEquals": {"aws:PrincipalAccount": sorted(governed)}}
    actions = [*GOVERNING, "lakeformation:PutDataLakeSettings"]
    return (deny("LakeByDeploy", actions, conditions={**where, **except_for(sorted(callers))}),)


def _governs(settings: Settings) -> bool:
    lake = settings.lake_formation
    return lake.mode == "enforced" and lake.account_stack
