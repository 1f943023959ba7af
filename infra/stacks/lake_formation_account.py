"""What an account has once: the data-lake settings and the LF-Tags."""

from collections.abc import Sequence
from typing import get_args

from aws_cdk import RemovalPolicy
from aws_cdk import aws_lakeformation as lf
from constructs import Construct

from infra.stacks.base import EnvironmentStack
from sashiko.aws.names import exec_role_arn, tag_key
from sashiko.contract.grants import tag_values
from sashiko.contract.model import Contract
from sashiko.settings import EnvironmentName, Settings


class LakeFormationAccount(EnvironmentStack):
    """Makes CloudFormation an administrator of the lake, beside those that the account has.

    Everything here outlives its stack, in every environment: an account without its settings or its
    tags is a lake with other rules.
    """

    def __init__(
        self, scope: Construct, *, settings: Settings, contracts: Sequence[Contract]
    ) -> None:
        """Makes settings and tags."""
        super().__init__(
            scope,
            "LakeFormationAccount",
            settings=settings,
            stateful=True,
            description="Lake Formation's settings and tags, once an account",
        )
        administrators = lf.CfnDataLakeSettings(
            self,
            "Settings",
            admins=[
                lf.CfnDataLakeSettings.DataLakePrincipalProperty(
                    data_lake_principal_identifier=exec_role_arn(settings)
                )
            ],
            # Otherwise the list replaces the account's, and its administrators are none any more.
            mutation_type="APPEND",
            # Nobody gets a new database or table by default.
            create_database_default_permissions=[],
            create_table_default_permissions=[],
        )
        administrators.apply_removal_policy(RemovalPolicy.RETAIN)
        environments = tuple(name for name in get_args(EnvironmentName) if name != "local")
        for kind, values in tag_values(contracts, environments=environments).items():
            tag = lf.CfnTag(
                self,
                f"Tag-{kind}",
                catalog_id=settings.account,
                tag_key=tag_key(settings, kind),
                tag_values=list(values),
            )
            tag.apply_removal_policy(RemovalPolicy.RETAIN_ON_UPDATE_OR_DELETE)
            tag.add_resource_dependency(administrators)
