"""Who reaches the project's resources from outside the organization: nobody.

Sources: "Resource control policies (RCPs)", "RCP syntax" and "Resource control policy examples" of
the AWS Organizations User Guide; "Resource control policies in AWS KMS", KMS Developer Guide.
"""

from typing import Any, Final

from sashiko.aws.operations.organization.accounts import Accounts
from sashiko.aws.operations.organization.policy import Statement, deny
from sashiko.aws.resources.names import GITHUB_ISSUER

# Of the services that resource control policies apply to, those whose resources have a policy of
# their own that could let strangers in.
_SERVICES: Final = ("ecr:*", "kms:*", "s3:*", "secretsmanager:*", "sqs:*")


def resource_guards(accounts: Accounts) -> tuple[Statement, ...]:
    """Returns the statements of the resource control policy."""
    organization = accounts.organization
    return tuple(
        {**statement, "Principal": "*"}
        for statement in (
            deny(
                "OrganizationAlone",
                [*_SERVICES, "sts:AssumeRole"],
                conditions={
                    "StringNotEqualsIfExists": {"aws:PrincipalOrgID": organization},
                    "BoolIfExists": {"aws:PrincipalIsAWSService": "false"},
                },
            ),
            # Without STS: a service takes a role of its own account's only (iam:PassRole).
            deny(
                "ServicesForTheOrganizationAlone",
                _SERVICES,
                conditions={
                    "StringNotEqualsIfExists": {"aws:SourceOrgID": organization},
                    "Null": {"aws:SourceAccount": "false"},
                    "Bool": {"aws:PrincipalIsAWSService": "true"},
                },
            ),
            deny(
                "TlsAlone",
                ["kms:*", "s3:*", "secretsmanager:*", "sqs:*", "sts:*"],
                conditions={"BoolIfExists": {"aws:SecureTransport": "false"}},
            ),
            *_federation(accounts),
        )
    )


def _federation(accounts: Accounts) -> tuple[Statement, ...]:
    """Denies the project's roles to federated callers, who belong to no organization.

    IAM Identity Center's sessions are of roles of its own. GitHub's tokens get a role where GitHub
    Actions deliver, if they are of that repository.
    """
    roles = accounts.arns("arn:aws:iam::{account}:role/{prefix}-*")
    by_saml, by_token = "sts:AssumeRoleWithSAML", "sts:AssumeRoleWithWebIdentity"
    if accounts.github is None:
        return (deny("NoFederation", [by_saml, by_token], resources=roles),)
    ours: dict[str, Any] = {f"{GITHUB_ISSUER}:sub": f"{accounts.github.subject}:*"}
    return (
        deny("NoFederation", [by_saml], resources=roles),
        deny(
            "OurRepositoryAlone",
            [by_token],
            resources=roles,
            conditions={"StringNotLikeIfExists": ours},
        ),
    )
