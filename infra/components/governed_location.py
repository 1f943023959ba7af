"""Where a table's data lie, put under Lake Formation's control."""

from aws_cdk import aws_lakeformation as lf
from constructs import Construct

from infra.components.lake_formation_grant import (
    LakeFormationGrant,
    location_of,
    table_location_arn,
)
from sashiko.aws.names import exec_role_arn
from sashiko.settings import Settings


class GovernedLocation(Construct):
    """A registered location, and CloudFormation's right to make a table that points to it.

    Registered with a role of ours that may use the lake's key: the service-linked role may not.
    Each table has its own, so that what lies beside the tables is registered with nobody.

    Attributes:
        grant: what a table at this location must wait for.
    """

    def __init__(self, scope: Construct, id: str, *, settings: Settings, table: str) -> None:
        """Registers the location of `table`."""
        super().__init__(scope, id)
        location = lf.CfnResource(
            self,
            "Location",
            resource_arn=table_location_arn(settings, table),
            role_arn=settings.role_arn("lake-formation"),
            use_service_linked_role=False,
            hybrid_access_enabled=False,
            with_federation=False,
        )
        self.grant = LakeFormationGrant(
            self,
            "CloudFormation",
            settings=settings,
            principal=exec_role_arn(settings),
            permission="DATA_LOCATION_ACCESS",
            resource=location_of(settings, table),
        )
        self.grant.add_resource_dependency(location)
