"""What an account has once for Lake Formation: the data-lake settings and the LF-Tags."""

from aws_cdk import RemovalPolicy
from aws_cdk import aws_lakeformation as lf
from constructs import Construct

from sashiko.account.names import tag_key
from sashiko.contract.grants import tag_values
from sashiko_cdk.deployment import Deployment
from sashiko_cdk.lake.lake_settings import LakeSettings
from sashiko_cdk.stack import EnvironmentStack

__all__ = ["add_account_settings"]


def add_account_settings(stack: EnvironmentStack, deployment: Deployment) -> None:
    """Adds Lake Formation's settings and tags to a stack.

    Settings and tags outlive their stack, in every environment: an account without them is a lake
    with other rules.

    Args:
        stack: the stack.
        deployment: whose contracts are tagged, with a value for each of the environments.
    """
    settings = deployment.settings
    last: Construct = LakeSettings(
        stack, "DataLake", settings=settings, removal_policy=stack.removal_policy
    ).resource
    values_of = tag_values(deployment.contracts, environments=deployment.environments)
    for kind, values in values_of.items():
        tag = lf.CfnTag(
            stack,
            f"Tag-{kind}",
            catalog_id=settings.account,
            tag_key=tag_key(settings, kind),
            tag_values=list(values),
        )
        tag.apply_removal_policy(RemovalPolicy.RETAIN_ON_UPDATE_OR_DELETE)
        tag.node.add_dependency(last)
        last = tag
