"""The check of the version that is to be served: in the deploy itself, before anything changes."""

from aws_cdk import CustomResource, Duration, RemovalPolicy
from aws_cdk import aws_kms as kms
from constructs import Construct

from sashiko.aws.functions.preflight.expected import Expected
from sashiko.settings.environment import Settings
from sashiko_cdk.functions.content_id import content_id
from sashiko_cdk.functions.python_function import PythonFunction

_READS_FOR = Duration.minutes(15)  # the most that a function may
_WAITS_FOR = Duration.minutes(16)
_MEMORY = 1024  # MB; a larger share of a CPU comes with it, and a digest is a CPU's work


class Preflight(Construct):
    """A custom resource that model, configuration and endpoint depend on.

    It has an id of its content: a change is a new one, which is checked, and a rollback deletes
    that and asks nothing. An update in place would be asked again on the way back, and could leave
    the stack in UPDATE_ROLLBACK_FAILED.

    Attributes:
        threshold: the version's signed decision threshold.
    """

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        settings: Settings,
        expected: Expected,
        key: kms.IKey,
        removal_policy: RemovalPolicy,
    ) -> None:
        """Makes the function and the check.

        Args:
            scope: the Serving stack.
            id: the construct's id.
            settings: the environment.
            expected: what the version is held against.
            key: encrypts the function's log.
            removal_policy: what becomes of the log when the stack is destroyed.
        """
        super().__init__(scope, id)
        function = PythonFunction(
            self,
            "Function",
            settings=settings,
            role="preflight",
            module="sashiko.aws.functions.preflight.handler",
            description="Checks a version before it is served; it only reads",
            timeout=_READS_FOR,
            memory=_MEMORY,
            key=key,
            removal_policy=removal_policy,
        )
        properties = expected.properties()
        check = CustomResource(
            self,
            content_id(self, "Check", properties),
            resource_type="Custom::Preflight",
            service_token=function.function.function_arn,
            service_timeout=_WAITS_FOR,
            properties=properties,
        )
        check.node.add_dependency(function)
        self.threshold = check.get_att_string("Threshold")
