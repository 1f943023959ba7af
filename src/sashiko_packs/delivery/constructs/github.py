"""The two roles that GitHub Actions assumes where config/delivery.yaml says that it deploys.

Sources: "OpenID Connect reference" of GitHub's documentation (the subject of a job with and without
an environment; ids in it); "Identity-provider controls for shared OIDC providers" of the IAM User
Guide (IAM refuses a trust in GitHub that does not evaluate the subject); "AWS STS supports
validation of select identity provider specific claims" (AWS, What's New, January 2026: `ref` is a
condition key); "Obtain the thumbprint for an OpenID Connect identity provider" of the IAM User
Guide (for GitHub IAM verifies the certificate by its own library of authorities).
"""

from typing import Final

from aws_cdk import App
from aws_cdk import aws_iam as iam
from constructs import Construct

from sashiko.account import names
from sashiko.account.names import GITHUB_AUDIENCE, GITHUB_DEPLOYER, GITHUB_ISSUER, GITHUB_READER
from sashiko.settings.delivery import GitHubTrust
from sashiko_cdk.deployment import Deployment
from sashiko_cdk.identity.allow import DENIES, add_role, allow, deny
from sashiko_cdk.identity.boundary import boundary_of
from sashiko_cdk.identity.role_permissions import own_permissions
from sashiko_cdk.identity.role_table import APPROVE, JOBS, LAKE, REGISTER
from sashiko_cdk.identity.trust import reading_models
from sashiko_cdk.stack import EnvironmentStack

__all__ = ["add_github_roles"]

_NEVER: Final = (*LAKE, *REGISTER, *APPROVE, *JOBS, "iam:PassRole", "s3:PutObject*")
# The first deploy builds four images, each for 50 minutes at most.
_DEPLOY_HOURS: Final = 6


def add_github_roles(stack: EnvironmentStack, *, trust: GitHubTrust) -> None:
    """Adds the roles that the workflow of a repository assumes in the environment's account.

    The deployer is for jobs on the delivered branch in the GitHub environment of the stage's name,
    where GitHub asks its reviewers. The reader is for jobs on that branch outside an environment:
    it compares, before a person is asked, and proposes approved models.

    `trust` also says whether the stack makes the account's OIDC provider. InputError if the source
    has no ids.
    """
    settings, source = stack.settings, trust.source
    provider = None
    if trust.makes_provider:
        provider = iam.CfnOIDCProvider(
            stack, "Provider", url=f"https://{GITHUB_ISSUER}", client_id_list=[GITHUB_AUDIENCE]
        )
        provider.apply_removal_policy(stack.removal_policy)
    boundary = boundary_of(stack, settings)
    # What `sashiko env preflight` reads, as the serving stack's function does.
    checking = [*own_permissions(settings, "preflight", targets=[]), *reading_models(settings)]
    # Name -> purpose, the subject of the tokens that get it, the roles it assumes, hours.
    roles: dict[str, tuple[str, str, tuple[names.BootstrapRole, ...], int]] = {
        GITHUB_READER: (
            "compares templates with what is deployed, checks approved models",
            f"{source.subject}:ref:{source.ref}",
            ("lookup",),
            1,
        ),
        GITHUB_DEPLOYER: (
            "deploys by the CDK's roles, after the preflight",
            source.subject_in(settings.environment),
            ("deploy", "file-publishing"),
            _DEPLOY_HOURS,
        ),
    }
    for name, (purpose, subject, assumed, hours) in roles.items():
        # A job in an environment has no branch in its subject, so `ref` is a claim of its own. Each
        # is compared as it is, and a token without one of them is refused.
        claims = {"aud": GITHUB_AUDIENCE, "sub": subject, "ref": source.ref}
        arns = [names.bootstrap_role_arn(settings, role) for role in assumed]
        role = add_role(
            stack,
            name.title().replace("-", ""),
            name=f"{names.prefix(settings)}-{name}",
            description=f"GitHub Actions: {purpose}",
            trust=iam.WebIdentityPrincipal(
                f"arn:aws:iam::{settings.account}:oidc-provider/{GITHUB_ISSUER}",
                {
                    "StringEquals": {
                        f"{GITHUB_ISSUER}:{key}": value for key, value in claims.items()
                    }
                },
            ),
            boundary=boundary,
            allowed=[allow(["sts:AssumeRole"], arns), *checking],
            denied=[deny("Never", _NEVER)],
            hours=hours,
            inline=DENIES,
        )
        role.apply_removal_policy(stack.removal_policy)
        if provider is not None:
            role.node.add_dependency(provider)


class GitHubActions(EnvironmentStack):
    """A role that compares, one that deploys, and the account's OIDC provider if it has none."""

    def __init__(self, scope: Construct, deployment: Deployment, *, trust: GitHubTrust) -> None:
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
