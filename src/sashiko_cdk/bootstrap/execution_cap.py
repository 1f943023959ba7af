"""The boundary of CloudFormation's role, which limits it independently of its policies."""

from typing import Any

from aws_cdk import aws_iam as iam

from sashiko.settings.environment import Settings
from sashiko_cdk.bootstrap.execution_scope import assets_bucket, of_assets, with_boundary


def execution_cap(settings: Settings, *, trust_open: bool = False) -> list[iam.PolicyStatement]:
    """Returns the permissions boundary of CloudFormation's role: no data, no change of the cap.

    With `trust_open`, for the one deploy that needs it, a deploy may delete the project's roles and
    change who can assume them.
    """
    own = f"arn:aws:iam::{settings.account}:policy/cdk-{settings.qualifier}-*"
    return [
        iam.PolicyStatement(sid="CapOnly", actions=["*"], resources=["*"]),
        _deny(
            "NoData",
            ["athena:StartQueryExecution", "lakeformation:GetDataAccess", "s3:PutObject*"],
        ),
        # Except code, which Lambda reads as the caller of CreateFunction.
        _deny(
            "NoObjectsButCode",
            ["s3:GetObject*"],
            not_resources=[f"{assets_bucket(settings)}/*"],
        ),
        _deny("NoKeyButOfCode", ["kms:Decrypt"], conditions=of_assets(settings, "StringNotLike")),
        _deny(
            "RolesKeepTheirBoundary",
            [
                "iam:AttachRolePolicy",
                "iam:CreateRole",
                "iam:PutRolePermissionsBoundary",
                "iam:PutRolePolicy",
            ],
            conditions=with_boundary(settings, "ArnNotEquals"),
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
        _deny(
            "CapStays",
            [
                "iam:CreatePolicyVersion",
                "iam:DeletePolicy",
                "iam:DeletePolicyVersion",
                "iam:SetDefaultPolicyVersion",
            ],
            resources=[own],
        ),
        *([] if trust_open else [_trust_stays(settings)]),
    ]


def _trust_stays(settings: Settings) -> iam.PolicyStatement:
    """Denies a new trust policy for a role, also by deleting and recreating the role.

    All roles of the project: a role that reads nothing itself may pass one that does, start a job
    with one, or deploy. IAM has no condition key for the content of a trust policy ("Actions,
    resources, and condition keys for IAM" of the Service Authorization Reference), so all changes
    are denied. CloudFormation begins a name that it generates with the stack's name, which begins
    with the project's.
    """
    return _deny(
        "TrustStays",
        ["iam:DeleteRole", "iam:UpdateAssumeRolePolicy"],
        resources=[f"arn:aws:iam::{settings.account}:role/{settings.project}-*"],
    )


def _deny(sid: str, actions: list[str], **options: Any) -> iam.PolicyStatement:
    scope = {} if "not_resources" in options else {"resources": ["*"]}
    return iam.PolicyStatement(
        sid=sid, effect=iam.Effect.DENY, actions=actions, **(scope | options)
    )
