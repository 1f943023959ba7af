"""What an account has once: the data-lake settings and the LF-Tags."""

from aws_cdk import RemovalPolicy
from aws_cdk import aws_lakeformation as lf
from constructs import Construct

from sashiko.aws.resources.names import tag_key
from sashiko.contract.grants import tag_values
from sashiko_cdk.deployment import Deployment
from sashiko_cdk.lake.lake_settings import LakeSettings
from sashiko_cdk.stack import EnvironmentStack


class LakeFormationAccount(EnvironmentStack):
    """Makes CloudFormation an administrator of the lake, beside those that the account has.

    Settings and tags outlive their stack, in every environment: an account without them is a lake
    with other rules.
    """

    def __init__(self, scope: Construct, deployment: Deployment) -> None:
        """Makes settings and tags, one value for each of the project's environments."""
        settings, contracts = deployment.settings, deployment.contracts
        super().__init__(
            scope,
            "LakeFormationAccount",
            deployment,
            stateful=True,
            description="Lake Formation's settings and tags, once an account",
        )
        last: Construct = LakeSettings(
            self, "DataLake", settings=settings, removal_policy=self.removal_policy
        ).resource
        for kind, values in tag_values(contracts, environments=deployment.environments).items():
            tag = lf.CfnTag(
                self,
                f"Tag-{kind}",
                catalog_id=settings.account,
                tag_key=tag_key(settings, kind),
                tag_values=list(values),
            )
            tag.apply_removal_policy(RemovalPolicy.RETAIN_ON_UPDATE_OR_DELETE)
            tag.node.add_dependency(last)
            last = tag
