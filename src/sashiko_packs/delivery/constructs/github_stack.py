"""What GitHub Actions assumes to deploy the environment, where config/delivery.yaml says so."""

from aws_cdk import App
from constructs import Construct

from sashiko.settings.delivery import GitHubTrust
from sashiko_cdk.deployment import Deployment
from sashiko_cdk.stack import EnvironmentStack
from sashiko_packs.delivery.constructs.github_actions import add_github_roles


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
