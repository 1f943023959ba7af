"""The registration of a table's location in Lake Formation."""

from aws_cdk import aws_lakeformation as lf
from constructs import Construct

from sashiko.settings.environment import Settings
from sashiko_cdk.lake.lake_formation_grant import table_location_arn


class GovernedLocation(Construct):
    """A registered location.

    It is registered with an own role that may use the lake's key: the service-linked role may not.
    Each table has its own location, so that data beside the tables is not registered.
    CloudFormation may make a table that points to it without a grant: an administrator of the lake
    has "data location permissions everywhere in the data lake" (implicit-permissions.html of the
    Lake Formation Developer Guide), and a creator of a database or table all rights to it.
    """

    def __init__(self, scope: Construct, id: str, *, settings: Settings, table: str) -> None:
        super().__init__(scope, id)
        self.location = lf.CfnResource(
            self,
            "Location",
            resource_arn=table_location_arn(settings, table),
            role_arn=settings.role_arn("lake-formation"),
            use_service_linked_role=False,
            hybrid_access_enabled=False,
            with_federation=False,
        )
