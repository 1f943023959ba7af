"""The check of the version to serve, during the deploy and before anything changes."""

from aws_cdk import CustomResource, Duration, RemovalPolicy
from aws_cdk import aws_kms as kms
from constructs import Construct

from sashiko.account.endpoint_spec import expected_of
from sashiko.settings.environment import Settings
from sashiko.settings.recipe import Recipe
from sashiko_cdk.functions.content_id import content_id
from sashiko_cdk.functions.python_function import PythonFunction

__all__ = ["Preflight"]

_READS_FOR = Duration.minutes(15)  # Lambda's maximum
_WAITS_FOR = Duration.minutes(16)
_MEMORY = 1024  # MB; the share of a CPU grows with it, and digests are CPU-bound


class Preflight(Construct):
    """A custom resource that model, configuration and endpoint depend on.

    Its id is a content id: a change creates a new resource, which runs the check, and a rollback
    only deletes it. An update in place would run the check again in the rollback, and could leave
    the stack in UPDATE_ROLLBACK_FAILED.
    """

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        settings: Settings,
        recipe: Recipe,
        package_arn: str,
        key: kms.IKey,
        removal_policy: RemovalPolicy,
    ) -> None:
        """Makes the function and the check.

        Raises:
            InputError: if there is no image for the recipe's target, or no gate of the recipe
                measures what a bound of the environment limits.
        """
        super().__init__(scope, id)
        function = PythonFunction(
            self,
            "Function",
            settings=settings,
            role="preflight",
            module="sashiko.functions.preflight_handler",
            description="Checks a version before it is served; it only reads",
            timeout=_READS_FOR,
            memory=_MEMORY,
            key=key,
            removal_policy=removal_policy,
        )
        properties = expected_of(settings, recipe, package_arn).properties()
        check = CustomResource(
            self,
            content_id(self, "Check", properties),
            resource_type="Custom::Preflight",
            service_token=function.function.function_arn,
            service_timeout=_WAITS_FOR,
            properties=properties,
        )
        check.node.add_dependency(function)
        self.threshold = check.get_att_string("Threshold")  # as signed
