"""The check, during the deploy and before any grant, that the lake is closed."""

from collections.abc import Sequence

from aws_cdk import CustomResource, Duration, RemovalPolicy
from aws_cdk import aws_kms as kms
from constructs import Construct

from sashiko.account.names import arn, database_name, role_name
from sashiko.base.function_input import ClosedLake
from sashiko.settings.environment import Settings
from sashiko_cdk.functions.content_id import content_id
from sashiko_cdk.functions.python_function import PythonFunction


class LakeProbe(PythonFunction):
    """The function of the check; its role has no grants in the lake."""

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        settings: Settings,
        key: kms.IKey,
        removal_policy: RemovalPolicy,
    ) -> None:
        """Makes the function; `key` encrypts its log, which goes as `removal_policy` says."""
        super().__init__(
            scope,
            id,
            settings=settings,
            role="lake-probe",
            module="sashiko.functions.lake_probe",
            description="Refuses a deploy while the lake is open to everybody",
            timeout=Duration.minutes(5),
            key=key,
            removal_policy=removal_policy,
        )


class ClosedLakeCheck(CustomResource):
    """Fails the stack while every principal sees the database, or one of the tables.

    Its id is a content id, so that new tables and new grants are checked again.
    """

    def __init__(
        self, scope: Construct, *, settings: Settings, tables: Sequence[str], grants: str = ""
    ) -> None:
        """Checks the database and `tables`; `grants` identifies the grants that follow."""
        properties = ClosedLake(
            environment=settings.environment,
            database=database_name(settings),
            tables=" ".join(tables),
            grants=grants,
        ).properties()
        super().__init__(
            scope,
            content_id(scope, "Closed", properties),
            resource_type="Custom::ClosedLake",
            # By name, not as an export: an export could not change while another stack imports it.
            service_token=arn(settings, "lambda", f"function:{role_name(settings, 'lake-probe')}"),
            service_timeout=Duration.minutes(6),
            properties=properties,
        )
