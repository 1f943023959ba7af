"""Access to the lake's data: LF-Tags on the data, grants to the personas."""

from constructs import Construct

from sashiko.aws.resources.names import Role
from sashiko.contract.grants import (
    ColumnGrant,
    Grant,
    TagGrant,
    reader_grants,
    tag_assignments,
)
from sashiko_cdk.deployment import Deployment
from sashiko_cdk.functions.content_id import content_id
from sashiko_cdk.lake.closed_lake import ClosedLakeCheck
from sashiko_cdk.lake.data_filter import DataFilter
from sashiko_cdk.lake.lake_formation_grant import (
    LakeFormationGrant,
    Resource,
    columns_of,
    filtered,
    location_of,
    one_table,
    tagged,
    the_database,
)
from sashiko_cdk.lake.tag_association import TagAssociation
from sashiko_cdk.stack import EnvironmentStack


class Governance(EnvironmentStack):
    """Tags and grants. No resource here is ever updated: changed content is a new resource.

    First the check that the lake is closed, then tags, then grants, all one after the other: Lake
    Formation refuses concurrent changes of a resource, and CloudFormation reports some concurrent
    grants as failed that exist (aws-cloudformation/cloudformation-coverage-roadmap #2500).
    """

    def __init__(self, scope: Construct, deployment: Deployment) -> None:
        """Governs the tables of the environment's contracts."""
        settings, contracts = deployment.settings, deployment.contracts
        super().__init__(
            scope,
            "Governance",
            deployment,
            stateful=False,
            description="Lake Formation tags and grants, derived from the data contracts",
        )
        grants = reader_grants(contracts, environment=settings.environment)
        self._last: Construct = ClosedLakeCheck(
            self,
            settings=settings,
            tables=sorted(contract.table for contract in contracts),
            grants=content_id(self, "", sorted(map(repr, grants))),
        )
        for tag in tag_assignments(contracts, environment=settings.environment):
            words = ("Tag", tag.table or "database", tag.column or "", tag.kind)
            self._chain(TagAssociation(self, "-".join(words), settings=settings, tag=tag))
        for grant in grants:
            self._grant(grant.persona, *self._reading(grant))
        self._grant("etl", "DESCRIBE", the_database(settings))
        for contract in contracts:
            table = contract.table
            self._grant("etl", "DATA_LOCATION_ACCESS", location_of(settings, table))
            for permission in ("ALTER", "DESCRIBE", "INSERT"):
                self._grant("etl", permission, one_table(settings, table))

    def _reading(self, grant: Grant) -> tuple[str, Resource]:
        if isinstance(grant, TagGrant):
            resource = tagged(self.settings, grant.resource_type, grant.expression)
            return grant.permission, resource
        if isinstance(grant, ColumnGrant):
            return "SELECT", columns_of(self.settings, grant.table, [grant.column])
        data_filter = DataFilter(self, settings=self.settings, grant=grant)
        self._chain(data_filter)
        return "SELECT", filtered(self.settings, grant.table, data_filter.name)

    def _grant(self, role: Role, permission: str, resource: Resource) -> None:
        permission_grant = LakeFormationGrant(
            self,
            f"{role}-",
            settings=self.settings,
            principal=self.settings.role_arn(role),
            permission=permission,
            resource=resource,
        )
        self._chain(permission_grant)

    def _chain(self, construct: Construct) -> None:
        """Makes a construct depend on the last one."""
        construct.node.add_dependency(self._last)
        self._last = construct
