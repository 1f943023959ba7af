"""What an account has once for Lake Formation: the data-lake settings and the LF-Tags."""

from aws_cdk import CustomResource, Duration, RemovalPolicy
from aws_cdk import aws_lakeformation as lf
from constructs import Construct

from sashiko.account.names import exec_role_arn, tag_key
from sashiko.base.function_input import LakeAdministrator
from sashiko.contract.grants import tag_values
from sashiko.settings.environment import Settings
from sashiko_cdk.deployment import Deployment
from sashiko_cdk.functions.python_function import PythonFunction
from sashiko_cdk.stack import EnvironmentStack

__all__ = ["add_account_settings"]


class LakeSettings(Construct):
    """Adds CloudFormation to the administrators, and empties the default permissions.

    The rollback of the stack's creation removes the administrator if it was none before. A
    destroyed stack leaves the settings, because other environments of the account need them.
    """

    def __init__(
        self, scope: Construct, id: str, *, settings: Settings, removal_policy: RemovalPolicy
    ) -> None:
        """Makes the function and has it change the settings; its log goes as the policy says."""
        super().__init__(scope, id)
        function = PythonFunction(
            self, "Function", settings, "lake-settings", key=None, removal_policy=removal_policy
        )
        self.resource = CustomResource(
            self,
            "Settings",
            resource_type="Custom::DataLakeSettings",
            service_token=function.function.function_arn,
            service_timeout=Duration.minutes(5),
            properties=LakeAdministrator(administrator=exec_role_arn(settings)).properties(),
            removal_policy=RemovalPolicy.RETAIN_ON_UPDATE_OR_DELETE,
        )
        self.resource.node.add_dependency(function)


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
