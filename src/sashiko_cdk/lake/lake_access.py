"""Permissions of the lake's roles in S3, Athena, Glue and KMS."""

from collections.abc import Sequence

from aws_cdk import aws_kms as kms
from constructs import Construct

from sashiko.account import names
from sashiko.account.names import Bucket, SnapshotView, arn
from sashiko.contract.glue import QUARANTINE
from sashiko.contract.model import Contract
from sashiko.settings.environment import Settings
from sashiko_cdk.identity.allow import Allowed, RolePolicy, allow
from sashiko_cdk.lake import private_bucket
from sashiko_cdk.lake.catalog import RESULTS
from sashiko_cdk.lake.private_bucket import READ, WRITE, use_key

__all__ = ["LakeAccess"]


_SEE_TABLES = (
    "glue:GetDatabase", "glue:GetPartition", "glue:GetPartitions", "glue:GetTable",
    "glue:GetTables",
)  # fmt: skip


class LakeAccess(Construct):
    """The roles' policies: IAM's part of access through Lake Formation, and direct access."""

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        settings: Settings,
        contracts: Sequence[Contract],
        lake_key: kms.IKey,
        snapshots_key: kms.IKey,
        ml_key: kms.IKey,
    ) -> None:
        super().__init__(scope, id)
        self._settings = settings
        self._folders = [f"{one.table}/" for one in contracts if one.lake is None]
        self._existing = [one.lake for one in contracts if one.lake is not None]
        self._lake_key = lake_key
        self._snapshots_key = snapshots_key
        self._enforced = settings.lake_formation.mode == "enforced"
        quarantined = [*self._folders, f"{QUARANTINE}/"]
        artifacts = names.bucket_name(settings, "artifacts")
        loading = [
            *self._objects("raw", self._folders, READ),
            *self._objects("curated", quarantined, (*READ, *WRITE, "s3:DeleteObject")),
            use_key(lake_key, writes=True),
            self._catalog(),
        ]
        emergency = [
            *self._objects("raw", self._folders, READ),
            *self._objects("curated", quarantined, READ),
            use_key(lake_key, writes=False),
        ]
        training = [
            *self._objects("snapshots", ["training/data/", "weights/"], READ),
            use_key(snapshots_key, writes=False),
        ]
        weights = self._objects("snapshots", ["weights/"], (*READ, *WRITE))
        policies: dict[names.Role, tuple[str, Sequence[Allowed]]] = {
            "training": ("Reads what it may train on", training),
        }
        if self._folders:  # else all tables have other owners, and nobody loads one
            policies["etl"] = "Turns raw files into tables", loading
            policies["break-glass"] = "Reads the lake in an emergency", emergency
        if self._folders and settings.on_destroy == "delete":  # for `env stage --seed-data`
            seeding = allow(["kms:GenerateDataKey"], [lake_key.key_arn])
            written = self._objects("raw", self._folders, ["s3:PutObject"])
            policies["deployer"] = "Loads example data, which it cannot read", [*written, seeding]
        # Verdicts and manifests in the artifacts bucket are under the snapshots' key: a job has one
        # key for all its outputs, and a snapshot or a validation writes rows too.
        verdicts = private_bucket.decrypt_objects(settings, snapshots_key.key_arn, [artifacts])
        weighed = self._objects("snapshots", ["training/data/"], READ)  # their split, for Weights
        facets = [*self._snapshot("facets"), *weighed, *weights]
        policies |= {
            "registrar": ("Reads what is said of snapshots", [verdicts]),
            "broker": ("Takes the training snapshot", self._snapshot("training")),
            "bias-evaluator": ("Takes the facets snapshot", facets),
        }
        if self._enforced:
            workgroup = names.exploration_workgroup_name(settings)
            exploring = [
                *self._querying(workgroup),
                allow(
                    ["athena:GetQueryResults"], [arn(settings, "athena", f"workgroup/{workgroup}")]
                ),
                *self._objects("artifacts", [RESULTS], (*READ, *WRITE)),
                use_key(ml_key, writes=True),
            ]
            if self._folders:
                policies["lake-formation"] = "Reads tables for Lake Formation", self._tables()
            policies["data-scientist"] = "Queries the lake", exploring
        for role, (description, statements) in policies.items():
            RolePolicy(self, role, settings, role, statements, description=description)

    def _tables(self) -> list[Allowed]:
        return [
            *self._objects("curated", self._folders, READ),
            use_key(self._lake_key, writes=False),
        ]

    def _snapshot(self, view: SnapshotView) -> list[Allowed]:
        statements = [
            *self._querying(names.workgroup_name(self._settings, view)),
            *self._objects("snapshots", [f"{view}/"], (*READ, *WRITE)),
            *self._objects("snapshots", [f"{view}/scratch/"], ["s3:DeleteObject"]),
            use_key(self._snapshots_key, writes=True),
            private_bucket.encrypt_outputs(self._snapshots_key),
        ]
        # Without Lake Formation a query reads with the role's own rights.
        return statements if self._enforced else [*statements, *self._tables()]

    def _querying(self, workgroup: str) -> list[Allowed]:
        statements = [
            allow(
                [
                    "athena:GetQueryExecution",
                    "athena:GetWorkGroup",
                    "athena:StartQueryExecution",
                    "athena:StopQueryExecution",
                ],
                [arn(self._settings, "athena", f"workgroup/{workgroup}")],
            ),
            self._catalog(),
            *self._other_catalogs(),
        ]
        if self._enforced:
            why = "the action knows no resources; which data it opens is Lake Formation's to grant"
            statements.append(allow(["lakeformation:GetDataAccess"], ["*"], why=why))
        return statements

    def _catalog(self) -> Allowed:
        database = names.database_name(self._settings)
        places = ("catalog", f"database/{database}", f"table/{database}/*")
        return allow(
            _SEE_TABLES,
            [arn(self._settings, "glue", place) for place in places],
            why="all tables of this database; which of them, and which columns, is Lake "
            "Formation's to grant",
        )

    def _other_catalogs(self) -> list[Allowed]:
        """Allows seeing tables of other owners by name, as link and where they are.

        Nothing is allowed in their S3 or under their keys ("Accessing the underlying data of a
        shared table", Lake Formation Developer Guide).
        """
        places, own = set[str](), self._settings.account
        for lake in self._existing:
            for owner, name in ((own, lake.place), (lake.catalog or own, lake)):
                catalog = f"arn:aws:glue:{self._settings.region}:{owner}"
                table = f"table/{name.database}/{name.table}"
                parts = ("catalog", f"database/{name.database}", table)
                places |= {f"{catalog}:{part}" for part in parts}
        return [allow(_SEE_TABLES, sorted(places))] if places else []

    def _objects(
        self, bucket: Bucket, folders: Sequence[str], actions: Sequence[str]
    ) -> list[Allowed]:
        if not folders:  # of tables, where all have other owners
            return []
        return private_bucket.use_objects(self._settings, bucket, folders, actions)
