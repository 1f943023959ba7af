"""The lake's tables, the check that the lake is closed, and the Athena workgroups that query it."""

from collections.abc import Mapping, Sequence
from typing import get_args

from aws_cdk import CustomResource, Duration, RemovalPolicy
from aws_cdk import aws_athena as athena
from aws_cdk import aws_glue as glue
from aws_cdk import aws_lakeformation as lf
from constructs import Construct

from sashiko.account import names
from sashiko.account.names import SnapshotView, bucket_name, database_name
from sashiko.base.function_input import ClosedLake
from sashiko.contract.glue import GlueColumn, GlueTable, glue_table
from sashiko.contract.model import Contract
from sashiko.packs import load_packs, pack_objects
from sashiko.settings.environment import Settings
from sashiko.settings.recipe import Recipe
from sashiko_cdk.functions.python_function import PythonFunction
from sashiko_cdk.lake.domain_key import DomainKey
from sashiko_cdk.lake.private_bucket import PrivateBucket
from sashiko_cdk.stack import EnvironmentStack, content_id

__all__ = ["add_catalog", "add_workgroups"]

# Where a workgroup's results lie, in its bucket or a folder of it; lifecycle and policies know it.
RESULTS = "athena/"
_PARQUET = "org.apache.hadoop.hive.ql.io.parquet"


def table_location_arn(settings: Settings, table: str) -> str:
    """Returns the ARN of a table's location in the curated bucket, as it is registered."""
    return f"arn:aws:s3:::{bucket_name(settings, 'curated')}/{table}"


class ClosedLakeCheck(CustomResource):
    """Fails the stack while every principal sees the database, or one of the tables.

    It runs during the deploy and before any grant. Its id is a content id, so that new tables and
    new grants are checked again.
    """

    def __init__(
        self, scope: Construct, *, settings: Settings, tables: Sequence[str], grants: str = ""
    ) -> None:
        """Checks the database and `tables`; `grants` identifies the grants that follow."""
        properties = ClosedLake(
            environment=settings.environment,
            database=database_name(settings),
            tables=" ".join(tables),
            grants=grants,
        ).properties()
        super().__init__(
            scope,
            content_id(scope, "Closed", properties),
            resource_type="Custom::ClosedLake",
            # By name, not as an export: an export could not change while another stack imports it.
            service_token=names.function_arn(settings, "lake-probe"),
            service_timeout=Duration.minutes(6),
            properties=properties,
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
    """The database of an environment and its tables; no crawler ever changes them."""

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
        """Makes them; `captured` has S3 location -> table of a pack that lies there."""
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
        self.tables = {  # a contract's table by its name
            table.name: self._table(table, f"{curated}/{table.name}/") for table in tables
        }
        self.others = {
            table.name: self._table(table, location) for location, table in captured.items()
        }
        for table in (*self.tables.values(), *self.others.values()):
            table.apply_removal_policy(removal_policy)

    def _defaults(self) -> list[glue.CfnDatabase.PrincipalPrivilegesProperty]:
        """Grants nothing on new tables by default; without Lake Formation, IAM alone decides."""
        if self._settings.lake_formation.mode == "enforced":
            return []
        database = glue.CfnDatabase
        everybody = database.DataLakePrincipalProperty(
            data_lake_principal_identifier="IAM_ALLOWED_PRINCIPALS"
        )
        return [database.PrincipalPrivilegesProperty(principal=everybody, permissions=["ALL"])]

    def _table(self, table: GlueTable, location: str) -> glue.CfnTable:
        """Makes a table.

        A query of a contract's table names its load, and no partition is ever registered. Those of
        a table with a publisher are, so that each appears as a whole.
        """
        parameters = {"EXTERNAL": "TRUE", "classification": "parquet"}
        if table.partition_key and not table.publisher:
            key = table.partition_key.name
            parameters |= {
                "projection.enabled": "true",
                f"projection.{key}.type": "injected",
                "storage.location.template": f"{location}{key}=${{{key}}}/",
            }
        serde = f"{_PARQUET}.serde.ParquetHiveSerDe"
        resource = glue.CfnTable(
            self,
            f"Table-{table.name}",
            catalog_id=self._settings.account,
            database_name=database_name(self._settings),
            name=table.name,
            table_input=glue.CfnTable.TableInputProperty(
                name=table.name,
                description=table.description,
                table_type="EXTERNAL_TABLE",
                partition_keys=[_column(table.partition_key)] if table.partition_key else None,
                parameters=parameters,
                storage_descriptor=glue.CfnTable.StorageDescriptorProperty(
                    location=location,
                    columns=[_column(column) for column in table.columns],
                    input_format=f"{_PARQUET}.MapredParquetInputFormat",
                    output_format=f"{_PARQUET}.MapredParquetOutputFormat",
                    serde_info=glue.CfnTable.SerdeInfoProperty(serialization_library=serde),
                ),
            ),
        )
        resource.add_resource_dependency(self.database)
        return resource


def _column(column: GlueColumn) -> glue.CfnTable.ColumnProperty:
    return glue.CfnTable.ColumnProperty(name=column.name, type=column.type, comment=column.comment)


def pack_tables(
    settings: Settings, contracts: Sequence[Contract], *, recipes: Sequence[Recipe]
) -> dict[str, GlueTable]:
    """Returns the tables of packs by their locations: captured requests, and published answers."""
    by_location: dict[str, GlueTable] = {}
    for tables in pack_objects("lake_tables", load_packs(settings.packs, source="settings")):
        for recipe in recipes:
            by_location |= tables(settings, recipe, contracts)
    return by_location


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
        contracts: of the lake's tables; nothing is made of those of other owners.
        recipes: those whose models may be served: each has a table of decoded requests.
        logs_key: encrypts the log of the probe, which tries whether the lake is closed.
        first: the bucket that the others depend on; a refused deploy has made none.
        dependencies: what has to exist before a location is registered.
    """
    settings, keep = stack.settings, stack.removal_policy
    captured = pack_tables(settings, contracts, recipes=recipes)
    lake = LakeTables(
        stack,
        "Lake",
        settings=settings,
        tables=[glue_table(contract) for contract in contracts if contract.lake is None],
        captured=captured,
        removal_policy=keep,
    )
    if settings.lake_formation.mode != "enforced":
        return
    # Its role has no grants in the lake.
    probe = PythonFunction(
        stack, "Probe", settings, "lake-probe", key=logs_key, removal_policy=keep
    )
    last: Construct = ClosedLakeCheck(stack, settings=settings, tables=())
    last.node.add_dependency(probe, lake.database)
    # The other buckets log to it, so a refused deploy has no buckets to delete.
    first.node.add_dependency(last)
    published = [table.name for table in captured.values() if table.publisher]
    for name, table in (*lake.tables.items(), *((name, lake.others[name]) for name in published)):
        location = GovernedLocation(stack, f"Location-{name}", settings=settings, table=name)
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
    settings = stack.settings
    # One per view, below the view's folder: query results are as sensitive as the view.
    snapshots = [
        _workgroup(
            stack,
            f"Snapshots-{view}",
            name=names.workgroup_name(settings, view),
            description=f"Takes snapshots of the lake: {view}",
            folder=f"{bucket_name(settings, 'snapshots')}/{view}/",
            key=snapshots_key,
        )
        for view in get_args(SnapshotView)
    ]
    exploration = _workgroup(
        stack,
        "Exploration",
        name=names.exploration_workgroup_name(settings),
        description="Data scientists' queries of the lake",
        folder=f"{bucket_name(settings, 'artifacts')}/",
        key=ml_key,
    )
    for workgroup in (*snapshots, exploration):
        workgroup.node.add_dependency(*dependencies)


def _workgroup(
    stack: EnvironmentStack, id: str, *, name: str, description: str, folder: str, key: DomainKey
) -> athena.CfnWorkGroup:
    """Makes a workgroup with its results in one place, `RESULTS` of a folder, under one key."""
    group = athena.CfnWorkGroup
    return group(
        stack,
        id,
        name=name,
        description=description,
        recursive_delete_option=stack.settings.on_destroy == "delete",
        work_group_configuration=group.WorkGroupConfigurationProperty(
            enforce_work_group_configuration=True,
            publish_cloud_watch_metrics_enabled=True,
            result_configuration=group.ResultConfigurationProperty(
                output_location=f"s3://{folder}{RESULTS}",
                expected_bucket_owner=stack.settings.account,
                encryption_configuration=group.EncryptionConfigurationProperty(
                    encryption_option="SSE_KMS", kms_key=key.key_arn
                ),
            ),
        ),
    )
