"""What CloudFormation may do to roles and policies."""

from typing import Any

from infra.components.allow import Allowed, allow
from sashiko.aws.names import bootstrap_policy_arn
from sashiko.settings import Settings

_NAMED = "All names of the project begin with its prefix; environments are not known here."


def identities(settings: Settings) -> list[Allowed]:
    """Returns what roles and policies take: a role only ever has the boundary."""
    iam = f"arn:aws:iam::{settings.account}"
    roles, policies = f"{iam}:role/{settings.project}-*", f"{iam}:policy/{settings.project}-*"
    return [
        # A role without the boundary can be neither made nor given permissions.
        allow(
            [
                "iam:AttachRolePolicy",
                "iam:CreateRole",
                "iam:DetachRolePolicy",
                "iam:PutRolePermissionsBoundary",
                "iam:PutRolePolicy",
            ],
            [roles],
            conditions=with_boundary(settings, "ArnEquals"),
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
                "iam:ListRoleTags",
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
                        "codebuild.amazonaws.com",
                        "events.amazonaws.com",
                        "glue.amazonaws.com",
                        "lambda.amazonaws.com",
                        "lakeformation.amazonaws.com",
                        "sagemaker.amazonaws.com",
                        "states.amazonaws.com",
                        "vpc-flow-logs.amazonaws.com",
                    ]
                }
            },
            why=_NAMED,
        ),
    ]


def with_boundary(settings: Settings, operator: str) -> dict[str, Any]:
    """Returns the condition that a role has the boundary; `ArnNotEquals`: that it has not."""
    return {operator: {"iam:PermissionsBoundary": bootstrap_policy_arn(settings, "boundary")}}
