"""Who may read what of the lake: LF-Tags on the data, grants to the personas."""

from collections.abc import Sequence

from aws_cdk import CfnResource
from constructs import Construct

from infra.components.data_filter import DataFilter
from infra.components.lake_formation_grant import (
    LakeFormationGrant,
    Resource,
    columns_of,
    filtered,
    location_of,
    one_table,
    tagged,
    the_database,
)
from infra.components.tag_association import TagAssociation
from infra.stacks.base import EnvironmentStack
from sashiko.aws.names import Role
from sashiko.contract.grants import (
    ColumnGrant,
    Grant,
    TagGrant,
    reader_grants,
    tag_assignments,
)
from sashiko.contract.model import Contract
from sashiko.settings import Settings


class Governance(EnvironmentStack):
    """Tags and grants. No resource here is ever changed: another content is another resource.

    Tags come before grants, and those of one table or to one principal one after the other, since
    Lake Formation refuses two changes of a thing at once.
    """

    def __init__(
        self, scope: Construct, *, settings: Settings, contracts: Sequence[Contract]
    ) -> None:
        """Governs the tables of `contracts`."""
        super().__init__(
            scope,
            "Governance",
            settings=settings,
            stateful=False,
            description="Lake Formation tags and grants, derived from the data contracts",
        )
        self._tagged = self._tag(contracts)
        # The last change to a role's grants, and to a table's.
        self._last: dict[tuple[str, str], CfnResource] = {}
        for grant in reader_grants(contracts, environment=settings.environment):
            table = "" if isinstance(grant, TagGrant) else grant.table
            self._grant(grant.persona, *self._reading(grant), table=table)
        self._grant("etl", "DESCRIBE", the_database(settings))
        for contract in contracts:
            table = contract.table
            self._grant("etl", "DATA_LOCATION_ACCESS", location_of(settings, table), table=table)
            for permission in ("ALTER", "DESCRIBE", "INSERT"):
                self._grant("etl", permission, one_table(settings, table), table=table)

    def _tag(self, contracts: Sequence[Contract]) -> list[CfnResource]:
        """Tags the database, then the tables; returns the last association of each."""
        last: dict[str | None, CfnResource] = {}
        for tag in tag_assignments(contracts, environment=self.settings.environment):
            words = ("Tag", tag.table or "database", tag.column or "", tag.kind)
            made = TagAssociation(self, "-".join(words), settings=self.settings, tag=tag)
            before = last.get(tag.table) or last.get(None)
            if before:
                made.add_resource_dependency(before)
            last[tag.table] = made
        return list(last.values())

    def _reading(self, grant: Grant) -> tuple[str, Resource]:
        if isinstance(grant, TagGrant):
            resource = tagged(self.settings, grant.resource_type, grant.expression)
            return grant.permission, resource
        if isinstance(grant, ColumnGrant):
            return "SELECT", columns_of(self.settings, grant.table, [grant.column])
        made = DataFilter(self, settings=self.settings, grant=grant)
        self._chain(made, role=grant.persona, table=grant.table)
        return "SELECT", filtered(self.settings, grant.table, made.name)

    def _grant(self, role: Role, permission: str, resource: Resource, *, table: str = "") -> None:
        made = LakeFormationGrant(
            self,
            f"{role}-",
            settings=self.settings,
            principal=self.settings.role_arn(role),
            permission=permission,
            resource=resource,
        )
        self._chain(made, role=role, table=table)

    def _chain(self, made: CfnResource, *, role: Role, table: str) -> None:
        """Puts a change after the last of its role, of its table, and after the tags."""
        keys = [("role", role), *([("table", table)] if table else [])]
        for before in [self._last[key] for key in keys if key in self._last] or self._tagged:
            made.add_resource_dependency(before)
        self._last.update(dict.fromkeys(keys, made))
