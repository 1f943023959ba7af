"""An account's data-lake settings, set by a function: CloudFormation's type cannot empty them."""

from aws_cdk import CustomResource, Duration, RemovalPolicy
from constructs import Construct

from sashiko.account.names import exec_role_arn
from sashiko.base.function_input import LakeAdministrator
from sashiko.settings.environment import Settings
from sashiko_cdk.functions.python_function import PythonFunction


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
            self,
            "Function",
            settings=settings,
            role="lake-settings",
            module="sashiko.functions.lake_settings",
            description="Adds to the account's data-lake settings, and takes nothing from others",
            timeout=Duration.minutes(1),
            key=None,
            removal_policy=removal_policy,
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
