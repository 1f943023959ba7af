"""What CloudFormation may do to roles and policies."""

from infra.components.allow import Allowed, allow
from infra.components.execution_scope import NAMED, with_boundary
from sashiko.settings import Settings


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
            why=NAMED,
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
            why=NAMED,
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
            why=NAMED,
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
            why=NAMED,
        ),
    ]
