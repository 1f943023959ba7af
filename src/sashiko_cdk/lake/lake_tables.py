"""The Glue database and its tables, derived from the contracts."""

from collections.abc import Mapping, Sequence

from aws_cdk import RemovalPolicy
from aws_cdk import aws_glue as glue
from constructs import Construct

from sashiko.account.names import bucket_name, database_name
from sashiko.contract.glue import GlueColumn, GlueTable
from sashiko.settings.environment import Settings

_PARQUET = "org.apache.hadoop.hive.ql.io.parquet"


class LakeTables(Construct):
    """The database of an environment and its tables; no crawler ever changes them.

    Attributes:
        database: the database.
        tables: name -> a contract's table.
        captured: tables of decoded requests.
    """

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        settings: Settings,
        tables: Sequence[GlueTable],
        captured: Mapping[str, GlueTable],
        removal_policy: RemovalPolicy,
    ) -> None:
        """Makes them; `captured` has S3 location -> table of the requests that lie there."""
        super().__init__(scope, id)
        self._settings = settings
        self.database = glue.CfnDatabase(
            self,
            "Database",
            catalog_id=settings.account,
            # Named twice, as the tables are: CloudFormation imports a retained one by this name.
            database_name=database_name(settings),
            database_input=glue.CfnDatabase.DatabaseInputProperty(
                name=database_name(settings),
                description="The curated tables, as their contracts describe them",
                create_table_default_permissions=self._defaults(),
            ),
        )
        self.database.apply_removal_policy(removal_policy)
        curated = f"s3://{bucket_name(settings, 'curated')}"
        self.tables = {
            table.name: self._table(table, f"{curated}/{table.name}/") for table in tables
        }
        self.captured = [self._table(table, location) for location, table in captured.items()]
        for glue_table in (*self.tables.values(), *self.captured):
            glue_table.apply_removal_policy(removal_policy)

    def _defaults(self) -> list[glue.CfnDatabase.PrincipalPrivilegesProperty]:
        """Grants nothing on new tables by default; without Lake Formation, IAM alone decides."""
        if self._settings.lake_formation.mode == "enforced":
            return []
        all_iam_principals = glue.CfnDatabase.DataLakePrincipalProperty(
            data_lake_principal_identifier="IAM_ALLOWED_PRINCIPALS"
        )
        return [
            glue.CfnDatabase.PrincipalPrivilegesProperty(
                principal=all_iam_principals, permissions=["ALL"]
            )
        ]

    def _table(self, table: GlueTable, location: str) -> glue.CfnTable:
        keys = [_column(table.partition_key)] if table.partition_key else None
        glue_table = glue.CfnTable(
            self,
            f"Table-{table.name}",
            catalog_id=self._settings.account,
            database_name=database_name(self._settings),
            name=table.name,
            table_input=glue.CfnTable.TableInputProperty(
                name=table.name,
                description=table.description,
                table_type="EXTERNAL_TABLE",
                partition_keys=keys,
                parameters=_parameters(table, location),
                storage_descriptor=glue.CfnTable.StorageDescriptorProperty(
                    location=location,
                    columns=[_column(column) for column in table.columns],
                    input_format=f"{_PARQUET}.MapredParquetInputFormat",
                    output_format=f"{_PARQUET}.MapredParquetOutputFormat",
                    serde_info=glue.CfnTable.SerdeInfoProperty(
                        serialization_library=f"{_PARQUET}.serde.ParquetHiveSerDe"
                    ),
                ),
            ),
        )
        glue_table.add_resource_dependency(self.database)
        return glue_table


def _column(column: GlueColumn) -> glue.CfnTable.ColumnProperty:
    return glue.CfnTable.ColumnProperty(name=column.name, type=column.type, comment=column.comment)


def _parameters(table: GlueTable, location: str) -> dict[str, str]:
    """Partition projection: a query names its load, and no partition is ever registered."""
    common = {"EXTERNAL": "TRUE", "classification": "parquet"}
    if table.partition_key is None:
        return common
    key = table.partition_key.name
    return common | {
        "projection.enabled": "true",
        f"projection.{key}.type": "injected",
        "storage.location.template": f"{location}{key}=${{{key}}}/",
    }
