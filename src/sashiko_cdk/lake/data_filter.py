"""A data-cells filter: some rows and columns of a table."""

from aws_cdk import aws_lakeformation as lf
from constructs import Construct

from sashiko.account.names import database_name
from sashiko.contract.grants import FilterGrant
from sashiko.settings.environment import Settings
from sashiko_cdk.functions.content_id import content_id


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
