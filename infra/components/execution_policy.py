"""What CloudFormation may do in the account, by service: what the project's stacks hold."""

from typing import Any

from aws_cdk import aws_iam as iam

from infra.components.allow import Allowed, allow
from sashiko.aws.names import QUALIFIER
from sashiko.settings import Settings

_LISTS = "The services have no permissions on single resources for these calls."
_NAMED = "All names of the project begin with its prefix; environments are not known here."


def execution_permissions(settings: Settings) -> list[Allowed]:
    """Returns what the stacks need; a stack with another service's resources adds its line."""
    return [*_iam(settings), *_stores(settings), *_catalog(settings), *_network(settings)]


def _iam(settings: Settings) -> list[Allowed]:
    iam_arn = f"arn:aws:iam::{settings.account}"
    roles, policies = (
        f"{iam_arn}:role/{settings.project}-*",
        f"{iam_arn}:policy/{settings.project}-*",
    )
    return [
        # A role without the environment's boundary can be neither made nor given permissions.
        allow(
            [
                "iam:AttachRolePolicy",
                "iam:CreateRole",
                "iam:DetachRolePolicy",
                "iam:PutRolePermissionsBoundary",
                "iam:PutRolePolicy",
            ],
            [roles],
            conditions=_with_boundary(settings, "ArnLike"),
            why=_NAMED,
        ),
        allow(
            [
                "iam:DeleteRole",
                "iam:DeleteRolePolicy",
                "iam:GetRole",
                "iam:GetRolePolicy",
                "iam:ListAttachedRolePolicies",
                "iam:ListRolePolicies",
                "iam:TagRole",
                "iam:UntagRole",
                "iam:UpdateAssumeRolePolicy",
                "iam:UpdateRole",
                "iam:UpdateRoleDescription",
            ],
            [roles],
            why=_NAMED,
        ),
        allow(
            [
                "iam:CreatePolicy",
                "iam:CreatePolicyVersion",
                "iam:DeletePolicy",
                "iam:DeletePolicyVersion",
                "iam:GetPolicy",
                "iam:GetPolicyVersion",
                "iam:ListEntitiesForPolicy",
                "iam:ListPolicyVersions",
            ],
            [policies],
            why=_NAMED,
        ),
        allow(
            ["iam:PassRole"],
            [roles],
            conditions={
                "StringEquals": {
                    "iam:PassedToService": [
                        "glue.amazonaws.com",
                        "lakeformation.amazonaws.com",
                        "vpc-flow-logs.amazonaws.com",
                    ]
                }
            },
            why=_NAMED,
        ),
    ]


def _stores(settings: Settings) -> list[Allowed]:
    region, account, project = settings.region, settings.account, settings.project
    keys, logs = f"arn:aws:kms:{region}:{account}", f"arn:aws:logs:{region}:{account}:log-group"
    # Keys have no names; each carries the project's tag from its first moment.
    tag = {"StringEquals": {"aws:ResourceTag/project": project}}
    return [
        allow(
            [
                "s3:CreateBucket",
                "s3:DeleteBucket",
                "s3:DeleteBucketPolicy",
                "s3:GetBucket*",
                "s3:Get*Configuration",
                "s3:ListBucket",
                "s3:PutBucket*",
                "s3:Put*Configuration",
            ],
            [f"arn:aws:s3:::{project}-*"],
            why="Buckets of the project, by prefix; the actions are about buckets, not objects.",
        ),
        allow(
            ["kms:CreateKey"],
            ["*"],
            conditions={"StringEquals": {"aws:RequestTag/project": project}},
            why="A key has no ARN before it is made; it must carry the project's tag.",
        ),
        allow(
            [
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
                "kms:UpdateKeyDescription",
            ],
            [f"{keys}:key/*"],
            conditions=tag,
            why="Keys have no names: the condition on the tag means the project's.",
        ),
        allow(
            ["kms:CreateAlias", "kms:DeleteAlias", "kms:UpdateAlias"],
            [f"{keys}:alias/{project}-*"],
            why=_NAMED,
        ),
        allow(
            [
                "logs:AssociateKmsKey",
                "logs:CreateLogGroup",
                "logs:DeleteLogGroup",
                "logs:ListTagsForResource",
                "logs:PutRetentionPolicy",
                "logs:TagResource",
            ],
            [f"{logs}:/{project}-*", f"{logs}:/aws-glue/{project}-*"],
            why=_NAMED,
        ),
    ]


def _catalog(settings: Settings) -> list[Allowed]:
    region, account, project = settings.region, settings.account, settings.project
    glue = f"arn:aws:glue:{region}:{account}"
    database = project.replace("-", "_")
    kinds = "Database", "Job", "Table"
    return [
        allow(
            [
                f"glue:{verb}{kind}"
                for verb in ("Create", "Delete", "Get", "Update")
                for kind in kinds
            ]
            + [f"glue:{verb}DataQualityRuleset" for verb in ("Create", "Delete", "Get", "Update")]
            + ["glue:GetTags", "glue:TagResource"],
            [
                f"{glue}:catalog",
                f"{glue}:database/{database}_*",
                f"{glue}:dataQualityRuleset/{project}-*",
                f"{glue}:job/{project}-*",
                f"{glue}:table/{database}_*/*",
            ],
            why=_NAMED,
        ),
        allow(
            [f"athena:{verb}WorkGroup" for verb in ("Create", "Delete", "Get", "Update")]
            + ["athena:ListTagsForResource", "athena:TagResource"],
            [f"arn:aws:athena:{region}:{account}:workgroup/{project}-*"],
            why=_NAMED,
        ),
        allow(
            [
                "glue:CreateSecurityConfiguration",
                "glue:DeleteSecurityConfiguration",
                "glue:GetSecurityConfiguration",
                "lakeformation:AddLFTagsToResource",
                "lakeformation:BatchGrantPermissions",
                "lakeformation:BatchRevokePermissions",
                "lakeformation:CreateDataCellsFilter",
                "lakeformation:CreateLFTag",
                "lakeformation:DeleteDataCellsFilter",
                "lakeformation:DeleteLFTag",
                "lakeformation:DeregisterResource",
                "lakeformation:DescribeResource",
                "lakeformation:GetDataCellsFilter",
                "lakeformation:GetDataLakeSettings",
                "lakeformation:GetLFTag",
                "lakeformation:GetResourceLFTags",
                "lakeformation:GrantPermissions",
                "lakeformation:ListDataCellsFilter",
                "lakeformation:ListPermissions",
                "lakeformation:PutDataLakeSettings",
                "lakeformation:RegisterResource",
                "lakeformation:RemoveLFTagsFromResource",
                "lakeformation:RevokePermissions",
                "lakeformation:UpdateLFTag",
                "lakeformation:UpdateResource",
            ],
            ["*"],
            why=_LISTS,
        ),
    ]


def _network(settings: Settings) -> list[Allowed]:
    made = "FlowLogs", "RouteTable", "SecurityGroup", "Subnet", "Tags", "Vpc"
    verbs = "Create", "Delete"
    return [
        allow(
            [f"ec2:{verb}{kind}" for verb in verbs for kind in made]
            + [
                "ec2:AssociateRouteTable",
                "ec2:AuthorizeSecurityGroupEgress",
                "ec2:AuthorizeSecurityGroupIngress",
                "ec2:CreateVpcEndpoint",
                "ec2:DeleteVpcEndpoints",
                "ec2:Describe*",
                "ec2:DisassociateRouteTable",
                "ec2:ModifySubnetAttribute",
                "ec2:ModifyVpcAttribute",
                "ec2:ModifyVpcEndpoint",
                "ec2:RevokeSecurityGroupEgress",
                "ec2:RevokeSecurityGroupIngress",
                "logs:CreateLogDelivery",
                "logs:DeleteLogDelivery",
                "logs:DescribeLogGroups",
            ],
            ["*"],
            conditions={"StringEquals": {"aws:RequestedRegion": settings.region}},
            why="A VPC's parts have ids that are not known before; the region is.",
        ),
        allow(
            ["ssm:GetParameters"],
            [
                f"arn:aws:ssm:{settings.region}:{settings.account}:parameter"
                f"/cdk-bootstrap/{QUALIFIER}/version"
            ],
        ),
    ]


def execution_cap(settings: Settings) -> list[iam.PolicyStatement]:
    """Returns the permissions boundary of CloudFormation's role: no data, no way around the cap."""
    own = f"arn:aws:iam::{settings.account}:policy/cdk-{QUALIFIER}-*"
    return [
        iam.PolicyStatement(sid="CapOnly", actions=["*"], resources=["*"]),
        _deny(
            "NoData",
            [
                "athena:StartQueryExecution",
                "kms:Decrypt",
                "lakeformation:GetDataAccess",
                "s3:GetObject*",
                "s3:PutObject*",
            ],
        ),
        _deny(
            "RolesKeepTheirBoundary",
            [
                "iam:AttachRolePolicy",
                "iam:CreateRole",
                "iam:PutRolePermissionsBoundary",
                "iam:PutRolePolicy",
            ],
            conditions=_with_boundary(settings, "ArnNotLike"),
        ),
        _deny(
            "NoOtherIdentities",
            [
                "iam:*AccessKey*",
                "iam:*Group*",
                "iam:*LoginProfile*",
                "iam:*User*",
                "iam:DeleteRolePermissionsBoundary",
                "organizations:*",
                "account:*",
            ],
        ),
        iam.PolicyStatement(
            sid="CapStays",
            effect=iam.Effect.DENY,
            actions=[
                "iam:CreatePolicyVersion",
                "iam:DeletePolicy",
                "iam:DeletePolicyVersion",
                "iam:SetDefaultPolicyVersion",
            ],
            resources=[own],
        ),
    ]


def _with_boundary(settings: Settings, operator: str) -> dict[str, Any]:
    boundary = f"arn:aws:iam::{settings.account}:policy/{settings.project}-*-boundary"
    return {operator: {"iam:PermissionsBoundary": boundary}}


def _deny(
    sid: str, actions: list[str], *, conditions: dict[str, Any] | None = None
) -> iam.PolicyStatement:
    return iam.PolicyStatement(
        sid=sid, effect=iam.Effect.DENY, actions=actions, resources=["*"], conditions=conditions
    )
