"""Access to the lake's data: LF-Tags on the data, grants to the personas."""

from collections.abc import Sequence

from aws_cdk import aws_lakeformation as lf
from constructs import Construct

from sashiko.account.names import Role, database_name, tag_key
from sashiko.contract.glue import captured_name
from sashiko.contract.grants import (
    ColumnGrant,
    FilterGrant,
    Grant,
    TagAssignment,
    TagGrant,
    reader_grants,
    tag_assignments,
)
from sashiko.contract.model import Contract
from sashiko.pipeline.project import recipe_table
from sashiko.settings.environment import Settings
from sashiko.settings.recipe import Recipe
from sashiko_cdk.functions.content_id import content_id
from sashiko_cdk.lake.closed_lake import ClosedLakeCheck
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
from sashiko_cdk.stack import EnvironmentStack

__all__ = ["add_governance"]

_Association = lf.CfnTagAssociation


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

    def __init__(
        self, scope: Construct, word: str, *, settings: Settings, tag: TagAssignment
    ) -> None:
        """Assigns `tag`; `word` is the readable part of the id."""
        pair = _Association.LFTagPairProperty(
            catalog_id=settings.account,
            tag_key=tag_key(settings, tag.kind),
            tag_values=[tag.value],
        )
        resource = _resource(settings, tag)
        super().__init__(
            scope,
            content_id(scope, word, resource, pair),
            resource=resource,
            lf_tags=[pair],
        )


def _resource(settings: Settings, tag: TagAssignment) -> lf.CfnTagAssociation.ResourceProperty:
    catalog, database = settings.account, database_name(settings)
    if tag.table is None:
        return _Association.ResourceProperty(
            database=_Association.DatabaseResourceProperty(catalog_id=catalog, name=database)
        )
    if tag.column is None:
        return _Association.ResourceProperty(
            table=_Association.TableResourceProperty(
                catalog_id=catalog, database_name=database, name=tag.table
            )
        )
    return _Association.ResourceProperty(
        table_with_columns=_Association.TableWithColumnsResourceProperty(
            catalog_id=catalog,
            database_name=database,
            name=tag.table,
            column_names=[tag.column],
        )
    )


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
        contracts: of the lake's tables.
        recipes: those whose models may be served: nobody is granted their decoded requests.
    """
    settings = stack.settings
    captured = [recipe_table(recipe) for recipe in recipes]
    grants = reader_grants(contracts, environment=settings.environment)
    check = ClosedLakeCheck(
        stack,
        settings=settings,
        tables=sorted(
            [contract.table for contract in contracts] + [captured_name(name) for name in captured]
        ),
        grants=content_id(stack, "", sorted(map(repr, grants))),
    )
    chain = _Chain(stack, first=check)
    for tag in tag_assignments(contracts, environment=settings.environment, captured=captured):
        words = ("Tag", tag.table or "database", tag.column or "", tag.kind)
        chain.add(TagAssociation(stack, "-".join(words), settings=settings, tag=tag))
    for grant in grants:
        chain.grant(grant.persona, *chain.reading(grant))
    chain.grant("etl", "DESCRIBE", the_database(settings))
    for contract in contracts:
        table = contract.table
        chain.grant("etl", "DATA_LOCATION_ACCESS", location_of(settings, table))
        for permission in ("ALTER", "DESCRIBE", "INSERT"):
            chain.grant("etl", permission, one_table(settings, table))


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
        settings = self._stack.settings
        permission_grant = LakeFormationGrant(
            self._stack,
            f"{role}-",
            settings=settings,
            principal=settings.role_arn(role),
            permission=permission,
            resource=resource,
        )
        self.add(permission_grant)

    def reading(self, grant: Grant) -> tuple[str, Resource]:
        """Returns a reader's permission and its resource; adds the data filter that it names."""
        settings = self._stack.settings
        if isinstance(grant, TagGrant):
            return grant.permission, tagged(settings, grant.resource_type, grant.expression)
        if isinstance(grant, ColumnGrant):
            return "SELECT", columns_of(settings, grant.table, [grant.column])
        data_filter = DataFilter(self._stack, settings=settings, grant=grant)
        self.add(data_filter)
        return "SELECT", filtered(settings, grant.table, data_filter.name)
