"""Access to the lake's data: LF-Tags on the data, grants to the personas."""

from collections.abc import Sequence

from aws_cdk import aws_lakeformation as lf
from constructs import Construct

from sashiko.account.names import PackName, Role, database_name, tag_key
from sashiko.contract import grants as contract_grants
from sashiko.contract.glue import captured_name
from sashiko.contract.grants import ColumnGrant, FilterGrant, Grant, TagAssignment, TagGrant
from sashiko.contract.model import Contract
from sashiko.pipeline.project import recipe_table
from sashiko.settings.environment import Settings
from sashiko.settings.recipe import Recipe
from sashiko_cdk.lake.catalog import ClosedLakeCheck, pack_tables, table_location_arn
from sashiko_cdk.stack import EnvironmentStack, content_id

__all__ = ["add_governance"]

_Association = lf.CfnTagAssociation
_Permissions = lf.CfnPrincipalPermissions
Resource = lf.CfnPrincipalPermissions.ResourceProperty


class LakeFormationGrant(lf.CfnPrincipalPermissions):
    """A grant, never with the grant option.

    It has one permission: CloudFormation replaces a changed grant by granting the new and then
    revoking the old, which also revokes permissions that both of them name.
    """

    def __init__(
        self,
        scope: Construct,
        word: str,
        *,
        settings: Settings,
        principal: str,
        permission: str,
        resource: Resource,
    ) -> None:
        """`word` begins the id; `resource` is made by one of the functions below."""
        super().__init__(
            scope,
            content_id(scope, f"{word}{permission}", principal, permission, resource),
            catalog=settings.account,
            principal=_Permissions.DataLakePrincipalProperty(
                data_lake_principal_identifier=principal
            ),
            permissions=[permission],
            permissions_with_grant_option=[],
            resource=resource,
        )


def the_database(settings: Settings) -> Resource:
    """The Glue database."""
    database = _Permissions.DatabaseResourceProperty(
        catalog_id=settings.account, name=database_name(settings)
    )
    return Resource(database=database)


class DataFilter(lf.CfnDataCellsFilter):
    """A filter with a content id: a change creates the new one before it deletes the old one."""

    def __init__(self, scope: Construct, *, settings: Settings, grant: FilterGrant) -> None:
        row_filter = lf.CfnDataCellsFilter.RowFilterProperty(filter_expression=grant.filter)
        columns = list(grant.columns)
        content = (settings.account, database_name(settings), grant.table, columns, row_filter)
        name = content_id(scope, f"{grant.persona}-", *content)
        super().__init__(
            scope,
            f"Filter-{grant.table}-{name}",
            table_catalog_id=settings.account,
            database_name=database_name(settings),
            table_name=grant.table,
            name=name,
            column_names=columns,
            row_filter=row_filter,
        )


class TagAssociation(lf.CfnTagAssociation):
    """One key with one value on one database, table or column."""

    def __init__(self, scope: Construct, *, settings: Settings, tag: TagAssignment) -> None:
        catalog, database = settings.account, database_name(settings)
        pair = _Association.LFTagPairProperty(
            catalog_id=catalog, tag_key=tag_key(settings, tag.kind), tag_values=[tag.value]
        )
        resource = _Association.ResourceProperty
        if tag.table is None:
            place = _Association.DatabaseResourceProperty(catalog_id=catalog, name=database)
            on = resource(database=place)
        elif tag.column is None:
            table = _Association.TableResourceProperty(
                catalog_id=catalog, database_name=database, name=tag.table
            )
            on = resource(table=table)
        else:
            columns = _Association.TableWithColumnsResourceProperty(
                catalog_id=catalog,
                database_name=database,
                name=tag.table,
                column_names=[tag.column],
            )
            on = resource(table_with_columns=columns)
        word = "-".join(("Tag", tag.table or "database", tag.column or "", tag.kind))
        super().__init__(scope, content_id(scope, word, on, pair), resource=on, lf_tags=[pair])


def add_governance(
    stack: EnvironmentStack, contracts: Sequence[Contract], *, recipes: Sequence[Recipe]
) -> None:
    """Adds the tags and grants that follow from contracts to a stack.

    No resource of these is ever updated: changed content is a new resource. First comes the check
    that the lake is closed, then tags, then grants, all one after the other: Lake Formation refuses
    concurrent changes of a resource, and CloudFormation reports some concurrent grants as failed
    that exist (aws-cloudformation/cloudformation-coverage-roadmap #2500).

    Args:
        stack: the stack, which nothing else changes the lake in.
        contracts: of the lake's tables; those of other owners are theirs to grant.
        recipes: those whose models may be served: nobody is granted their decoded requests.
    """
    settings, environment = stack.settings, stack.settings.environment
    tables = [contract.table for contract in contracts if contract.lake is None]
    captured = [recipe_table(recipe) for recipe in recipes]
    others = pack_tables(settings, contracts, recipes=recipes).values()
    published = [table for table in others if table.publisher]
    grants = contract_grants.reader_grants(contracts, environment=environment)
    check = ClosedLakeCheck(
        stack,
        settings=settings,
        tables=sorted(
            [*tables, *map(captured_name, captured), *(table.name for table in published)]
        ),
        grants=content_id(stack, "", sorted(map(repr, grants))),
    )
    chain = _Chain(stack, first=check)
    for tag in contract_grants.tag_assignments(
        contracts, environment=environment, captured=captured, published=published
    ):
        chain.add(TagAssociation(stack, settings=settings, tag=tag))
    for grant in grants:
        chain.grant(grant.persona, *chain.reading(grant))
    writers: list[tuple[Role, str]] = [("etl", table) for table in tables]
    writers += [(PackName(str(table.publisher)), table.name) for table in published]
    for role in dict.fromkeys(role for role, _ in (("etl", ""), *writers)):
        chain.grant(role, "DESCRIBE", the_database(settings))
        for table in (table for writer, table in writers if writer == role):
            location = _Permissions.DataLocationResourceProperty(
                catalog_id=settings.account, resource_arn=table_location_arn(settings, table)
            )
            chain.grant(role, "DATA_LOCATION_ACCESS", Resource(data_location=location))
            for permission in ("ALTER", "DESCRIBE", "INSERT"):
                named = _Permissions.TableResourceProperty(
                    catalog_id=settings.account, database_name=database_name(settings), name=table
                )
                chain.grant(role, permission, Resource(table=named))


class _Chain:
    """Changes of the lake, each of which depends on the one before it."""

    def __init__(self, stack: EnvironmentStack, *, first: Construct) -> None:
        self._stack = stack
        self._last = first

    def add(self, construct: Construct) -> None:
        """Makes a construct depend on the last one."""
        construct.node.add_dependency(self._last)
        self._last = construct

    def grant(self, role: Role, permission: str, resource: Resource) -> None:
        """Adds one permission of one role on one resource."""
        permission_grant = LakeFormationGrant(
            self._stack,
            f"{role}-",
            settings=self._stack.settings,
            principal=self._stack.settings.role_arn(role),
            permission=permission,
            resource=resource,
        )
        self.add(permission_grant)

    def reading(self, grant: Grant) -> tuple[str, Resource]:
        """Returns a reader's permission and its resource; adds the data filter that it names."""
        settings = self._stack.settings
        catalog, database = settings.account, database_name(settings)
        if isinstance(grant, TagGrant):  # what has one of the values of each tag
            tags = [
                _Permissions.LFTagProperty(tag_key=tag_key(settings, kind), tag_values=list(values))
                for kind, values in grant.expression
            ]
            policy = _Permissions.LFTagPolicyResourceProperty(
                catalog_id=catalog, resource_type=grant.resource_type, expression=tags
            )
            return grant.permission, Resource(lf_tag_policy=policy)
        if isinstance(grant, ColumnGrant):
            columns = _Permissions.TableWithColumnsResourceProperty(
                catalog_id=catalog,
                database_name=database,
                name=grant.table,
                column_names=[grant.column],
            )
            return "SELECT", Resource(table_with_columns=columns)
        data_filter = DataFilter(self._stack, settings=settings, grant=grant)
        self.add(data_filter)
        shown = _Permissions.DataCellsFilterResourceProperty(
            table_catalog_id=catalog,
            database_name=database,
            table_name=grant.table,
            name=data_filter.name,
        )
        return "SELECT", Resource(data_cells_filter=shown)
