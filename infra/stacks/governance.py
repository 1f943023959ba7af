"""Access to the lake's data: LF-Tags on the data, grants to the personas."""

from constructs import Construct

from sashiko_cdk.deployment import Deployment
from sashiko_cdk.lake.governance import add_governance
from sashiko_cdk.stack import EnvironmentStack


class Governance(EnvironmentStack):
    """Tags and grants, one after the other, as Lake Formation requires."""

    def __init__(self, scope: Construct, deployment: Deployment) -> None:
        """Governs the tables of the environment's contracts."""
        super().__init__(
            scope,
            "Governance",
            deployment,
            stateful=False,
            description="Lake Formation tags and grants, derived from the data contracts",
        )
        add_governance(self, deployment.contracts, recipes=deployment.recipes)
