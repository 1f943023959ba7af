"""One Lake Formation permission of one principal on one resource."""

from collections.abc import Sequence

from aws_cdk import aws_lakeformation as lf
from constructs import Construct

from sashiko.account.names import bucket_name, database_name, tag_key
from sashiko.contract.grants import Expression
from sashiko.settings.environment import Settings
from sashiko_cdk.functions.content_id import content_id

_Grant = lf.CfnPrincipalPermissions
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
            principal=_Grant.DataLakePrincipalProperty(data_lake_principal_identifier=principal),
            permissions=[permission],
            permissions_with_grant_option=[],
            resource=resource,
        )


def the_database(settings: Settings) -> Resource:
    """The Glue database."""
    return Resource(
        database=_Grant.DatabaseResourceProperty(
            catalog_id=settings.account, name=database_name(settings)
        )
    )


def one_table(settings: Settings, table: str) -> Resource:
    """One table without columns: for permissions other than SELECT."""
    return Resource(
        table=_Grant.TableResourceProperty(
            catalog_id=settings.account, database_name=database_name(settings), name=table
        )
    )


def columns_of(settings: Settings, table: str, columns: Sequence[str]) -> Resource:
    """Named columns of one table."""
    return Resource(
        table_with_columns=_Grant.TableWithColumnsResourceProperty(
            catalog_id=settings.account,
            database_name=database_name(settings),
            name=table,
            column_names=list(columns),
        )
    )


def filtered(settings: Settings, table: str, filter_name: str) -> Resource:
    """The rows and columns that a data-cells filter shows."""
    return Resource(
        data_cells_filter=_Grant.DataCellsFilterResourceProperty(
            table_catalog_id=settings.account,
            database_name=database_name(settings),
            table_name=table,
            name=filter_name,
        )
    )


def tagged(settings: Settings, resource_type: str, expression: Expression) -> Resource:
    """The catalog's resources that have one of the values of each tag."""
    return Resource(
        lf_tag_policy=_Grant.LFTagPolicyResourceProperty(
            catalog_id=settings.account,
            resource_type=resource_type,
            expression=[
                _Grant.LFTagProperty(tag_key=tag_key(settings, kind), tag_values=list(values))
                for kind, values in expression
            ],
        )
    )


def location_of(settings: Settings, table: str) -> Resource:
    """The registered location of a table's data."""
    return Resource(
        data_location=_Grant.DataLocationResourceProperty(
            catalog_id=settings.account, resource_arn=table_location_arn(settings, table)
        )
    )


def table_location_arn(settings: Settings, table: str) -> str:
    """Returns the ARN of a table's location in the curated bucket, as it is registered."""
    return f"arn:aws:s3:::{bucket_name(settings, 'curated')}/{table}"
