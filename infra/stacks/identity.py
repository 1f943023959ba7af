"""The roles of people and jobs in an environment."""

from constructs import Construct

from sashiko_cdk.deployment import Deployment
from sashiko_cdk.identity.roles import add_roles
from sashiko_cdk.stack import EnvironmentStack


class Identity(EnvironmentStack):
    """The roles, under fixed names: other stacks and Lake Formation refer to them by name."""

    def __init__(self, scope: Construct, deployment: Deployment) -> None:
        """Makes the roles."""
        super().__init__(
            scope, "Identity", deployment, stateful=True, description="The roles of people and jobs"
        )
        add_roles(self, recipes=deployment.recipes, tools=deployment.tools)
