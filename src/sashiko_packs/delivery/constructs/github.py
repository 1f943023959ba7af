"""The two roles that GitHub Actions assumes where config/delivery.yaml says that it deploys."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from aws_cdk import App, Duration
from aws_cdk import aws_iam as iam
from constructs import Construct

from sashiko.account.names import (
    GITHUB_AUDIENCE,
    GITHUB_DEPLOYER,
    GITHUB_ISSUER,
    GITHUB_READER,
    BootstrapRole,
    bootstrap_role_arn,
    prefix,
)
from sashiko.settings.delivery import GitHubTrust
from sashiko_cdk.deployment import Deployment
from sashiko_cdk.identity.allow import Allowed, allow, explain
from sashiko_cdk.identity.boundary import boundary_of
from sashiko_cdk.identity.role_permissions import own_permissions
from sashiko_cdk.identity.role_table import APPROVE, JOBS, LAKE, REGISTER
from sashiko_cdk.platform.promotion_policies import reading_models
from sashiko_cdk.security_rules.acknowledge import acknowledge
from sashiko_cdk.stack import EnvironmentStack

__all__ = ["add_github_roles"]

# The two roles of an environment that GitHub Actions assumes, and whom their trust lets in.
#
# Sources: "OpenID Connect reference" of GitHub's documentation (the subject of a job with and
# without an environment; ids in it); "Identity-provider controls for shared OIDC providers" of the
# IAM User Guide (IAM refuses a trust in GitHub that does not evaluate the subject); "AWS STS
# supports validation of select identity provider specific claims" (AWS, What's New, January 2026:
# `ref` is a condition key); "Obtain the thumbprint for an OpenID Connect identity provider" of the
# IAM User Guide (for GitHub IAM verifies the certificate by its own library of authorities).
_NEVER: Final = (*LAKE, *REGISTER, *APPROVE, *JOBS, "iam:PassRole", "s3:PutObject*")
# The first deploy builds four images, each for 50 minutes at most.
_DEPLOY_HOURS: Final = 6


def add_github_roles(stack: EnvironmentStack, *, trust: GitHubTrust) -> None:
    """Adds the roles that the workflow of a repository assumes in the environment's account.

    The deployer is for jobs on the delivered branch in the GitHub environment of the stage's name,
    where GitHub asks its reviewers. The reader is for jobs on that branch outside an environment:
    it compares, before a person is asked, and proposes approved models.

    Args:
        stack: where they are made.
        trust: the repository, and whether the stack makes the account's OIDC provider too.

    Raises:
        InputError: if the source has no ids.
    """
    settings, source = stack.settings, trust.source
    provider = _provider(stack) if trust.makes_provider else None
    boundary = boundary_of(stack, settings)
    parts: tuple[BootstrapRole, ...] = ("deploy", "file-publishing")
    # What `sashiko preflight` reads, as the serving stack's function does.
    checking = [*own_permissions(settings, "preflight", targets=[]), *reading_models(settings)]
    reader = _Role(
        name=GITHUB_READER,
        purpose="compares templates with what is deployed, checks approved models",
        subject=f"{source.subject}:ref:{source.ref}",
        allowed=[
            allow(["sts:AssumeRole"], [bootstrap_role_arn(settings, "lookup")]),
            *checking,
        ],
    )
    deployer = _Role(
        name=GITHUB_DEPLOYER,
        purpose="deploys by the CDK's roles, after the preflight",
        subject=source.subject_in(settings.environment),
        allowed=[
            allow(["sts:AssumeRole"], [bootstrap_role_arn(settings, part) for part in parts]),
            *checking,
        ],
        hours=_DEPLOY_HOURS,
    )
    for one in (reader, deployer):
        role = _add_role(stack, one, ref=source.ref, boundary=boundary)
        if provider is not None:
            role.node.add_dependency(provider)


@dataclass(frozen=True, kw_only=True)
class _Role:
    name: str  # without the environment's prefix
    purpose: str  # in words
    subject: str  # of the tokens that get it
    allowed: Sequence[Allowed]  # its permissions
    hours: int = 1  # of a session


def _provider(stack: EnvironmentStack) -> iam.CfnOIDCProvider:
    provider = iam.CfnOIDCProvider(
        stack, "Provider", url=f"https://{GITHUB_ISSUER}", client_id_list=[GITHUB_AUDIENCE]
    )
    provider.apply_removal_policy(stack.removal_policy)
    return provider


def _add_role(
    stack: EnvironmentStack, one: _Role, *, ref: str, boundary: iam.IManagedPolicy
) -> iam.Role:
    never = iam.PolicyStatement(
        sid="Never", effect=iam.Effect.DENY, actions=list(_NEVER), resources=["*"]
    )
    # A job in an environment has no branch in its subject, so `ref` is a claim of its own. Each is
    # compared as it is, and a token without one of them is refused.
    claims = {"aud": GITHUB_AUDIENCE, "sub": one.subject, "ref": ref}
    role = iam.Role(
        stack,
        one.name.title().replace("-", ""),
        role_name=f"{prefix(stack.settings)}-{one.name}",
        description=f"GitHub Actions: {one.purpose}",
        assumed_by=iam.WebIdentityPrincipal(
            f"arn:aws:iam::{stack.settings.account}:oidc-provider/{GITHUB_ISSUER}",
            {"StringEquals": {f"{GITHUB_ISSUER}:{name}": value for name, value in claims.items()}},
        ),
        permissions_boundary=boundary,
        max_session_duration=Duration.hours(one.hours),
        inline_policies={
            "own": iam.PolicyDocument(statements=[*(i.statement for i in one.allowed), never])
        },
    )
    role.apply_removal_policy(stack.removal_policy)
    explain(role, one.allowed)
    acknowledge(
        role,
        {
            "NIST-IAMNoInlinePolicy": "What the role must never do is part of it: a managed "
            "policy can be detached from it, or attached to another."
        },
    )
    return role


class GitHubActions(EnvironmentStack):
    """A role that compares, one that deploys, and the account's OIDC provider if it has none."""

    def __init__(self, scope: Construct, deployment: Deployment, *, trust: GitHubTrust) -> None:
        """Trusts the repository's workflow."""
        super().__init__(
            scope,
            "GitHubActions",
            deployment,
            stateful=True,
            description="The roles of GitHub Actions",
        )
        add_github_roles(self, trust=trust)


def github_stacks(app: App, deployment: Deployment) -> list[GitHubActions]:
    """Adds the stack where `config/delivery.yaml` lets GitHub Actions deploy the environment."""
    return [GitHubActions(app, deployment, trust=deployment.github)] if deployment.github else []
