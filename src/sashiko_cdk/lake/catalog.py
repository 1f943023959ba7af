"""The lake's tables and the Athena workgroups that query them."""

from collections.abc import Mapping, Sequence
from typing import get_args

from aws_cdk import RemovalPolicy
from aws_cdk import aws_athena as athena
from aws_cdk import aws_glue as glue
from aws_cdk import aws_kms as kms
from aws_cdk import aws_lakeformation as lf
from constructs import Construct

from sashiko.account.names import (
    Bucket,
    SnapshotView,
    bucket_name,
    database_name,
    exploration_workgroup_name,
    workgroup_name,
)
from sashiko.contract.glue import GlueColumn, GlueTable, glue_table
from sashiko.contract.model import Contract
from sashiko.packs import load_packs, pack_objects
from sashiko.settings.environment import Settings
from sashiko.settings.recipe import Recipe
from sashiko_cdk.lake.closed_lake import ClosedLakeCheck, LakeProbe
from sashiko_cdk.lake.domain_key import DomainKey
from sashiko_cdk.lake.lake_formation_grant import table_location_arn
from sashiko_cdk.lake.private_bucket import PrivateBucket
from sashiko_cdk.stack import EnvironmentStack

__all__ = ["add_catalog", "add_workgroups"]

# Where a workgroup's results lie, in its bucket or a folder of it; lifecycle and policies know it.
RESULTS = "athena/"
_PARQUET = "org.apache.hadoop.hive.ql.io.parquet"


class QueryWorkgroup(athena.CfnWorkGroup):
    """Results in one place, under one key."""

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        settings: Settings,
        name: str,
        description: str,
        bucket: Bucket,
        folder: str = "",
        key: kms.IKey,
    ) -> None:
        """The results lie below `RESULTS` of `folder`, or of the bucket itself if that is empty."""
        results = athena.CfnWorkGroup.ResultConfigurationProperty(
            output_location=f"s3://{bucket_name(settings, bucket)}/{folder}{RESULTS}",
            expected_bucket_owner=settings.account,
            encryption_configuration=athena.CfnWorkGroup.EncryptionConfigurationProperty(
                encryption_option="SSE_KMS", kms_key=key.key_arn
            ),
        )
        super().__init__(
            scope,
            id,
            name=name,
            description=description,
            recursive_delete_option=settings.on_destroy == "delete",
            work_group_configuration=athena.CfnWorkGroup.WorkGroupConfigurationProperty(
                enforce_work_group_configuration=True,
                publish_cloud_watch_metrics_enabled=True,
                result_configuration=results,
            ),
        )


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
        for table in (*self.tables.values(), *self.captured):
            table.apply_removal_policy(removal_policy)

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


def add_catalog(
    stack: EnvironmentStack,
    contracts: Sequence[Contract],
    *,
    recipes: Sequence[Recipe],
    logs_key: DomainKey,
    first: PrivateBucket,
    dependencies: Sequence[Construct],
) -> None:
    """Adds the Glue tables of contracts to a stack, and registers them with Lake Formation.

    Args:
        stack: the stack.
        contracts: of the lake's tables.
        recipes: those whose models may be served: each has a table of decoded requests.
        logs_key: encrypts the log of the probe, which tries whether the lake is closed.
        first: the bucket that the others depend on; a refused deploy has made none.
        dependencies: what has to exist before a location is registered.
    """
    captured: dict[str, GlueTable] = {}
    packs = load_packs(stack.settings.packs, source="settings")
    for tables in pack_objects("lake_tables", packs):
        for recipe in recipes:
            captured |= tables(stack.settings, recipe, contracts)
    lake = LakeTables(
        stack,
        "Lake",
        settings=stack.settings,
        tables=[glue_table(contract) for contract in contracts],
        captured=captured,
        removal_policy=stack.removal_policy,
    )
    if stack.settings.lake_formation.mode == "enforced":
        probe = LakeProbe(
            stack,
            "Probe",
            settings=stack.settings,
            key=logs_key,
            removal_policy=stack.removal_policy,
        )
        last: Construct = ClosedLakeCheck(stack, settings=stack.settings, tables=())
        last.node.add_dependency(probe, lake.database)
        # The other buckets log to it, so a refused deploy has no buckets to delete.
        first.node.add_dependency(last)
        for name, table in lake.tables.items():
            location = GovernedLocation(
                stack, f"Location-{name}", settings=stack.settings, table=name
            )
            # Lake Formation's changes come one after the other: see `add_governance`.
            location.node.add_dependency(*dependencies, last)
            last = location.location
            table.add_resource_dependency(location.location)


def add_workgroups(
    stack: EnvironmentStack,
    *,
    snapshots_key: DomainKey,
    ml_key: DomainKey,
    dependencies: Sequence[Construct],
) -> None:
    """Adds the Athena workgroups to a stack: one for each view of a snapshot, one for people.

    Args:
        stack: the stack.
        snapshots_key: encrypts the results of snapshots.
        ml_key: encrypts the results of data scientists' queries.
        dependencies: what has to exist before the workgroups.
    """
    # One per view, below the view's folder: query results are as sensitive as the view.
    snapshots = [
        QueryWorkgroup(
            stack,
            f"Snapshots-{view}",
            settings=stack.settings,
            name=workgroup_name(stack.settings, view),
            description=f"Takes snapshots of the lake: {view}",
            bucket="snapshots",
            folder=f"{view}/",
            key=snapshots_key,
        )
        for view in get_args(SnapshotView)
    ]
    exploration = QueryWorkgroup(
        stack,
        "Exploration",
        settings=stack.settings,
        name=exploration_workgroup_name(stack.settings),
        description="Data scientists' queries of the lake",
        bucket="artifacts",
        key=ml_key,
    )
    for workgroup in (*snapshots, exploration):
        workgroup.node.add_dependency(*dependencies)
