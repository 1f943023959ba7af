"""What an account has once: the data-lake settings and the LF-Tags."""

from constructs import Construct

from sashiko_cdk.deployment import Deployment
from sashiko_cdk.lake.account_settings import add_account_settings
from sashiko_cdk.stack import EnvironmentStack


class LakeFormationAccount(EnvironmentStack):
    """Makes CloudFormation an administrator of the lake, beside those that the account has."""

    def __init__(self, scope: Construct, deployment: Deployment) -> None:
        """Makes settings and tags, one value for each of the project's environments."""
        super().__init__(
            scope,
            "LakeFormationAccount",
            deployment,
            stateful=True,
            description="Lake Formation's settings and tags, once an account",
        )
        add_account_settings(self, deployment)
