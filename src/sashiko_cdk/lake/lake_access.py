"""Permissions of the lake's roles in S3, Athena, Glue and KMS."""

from collections.abc import Sequence

from aws_cdk import aws_kms as kms
from constructs import Construct

from sashiko.account.names import (
    Bucket,
    Role,
    SnapshotView,
    bucket_name,
    database_name,
    exploration_workgroup_name,
    workgroup_name,
)
from sashiko.contract.glue import QUARANTINE
from sashiko.settings.environment import Settings
from sashiko_cdk.identity.allow import Allowed, allow
from sashiko_cdk.identity.role_policy import RolePolicy
from sashiko_cdk.lake.catalog import RESULTS
from sashiko_cdk.lake.objects import (
    READ,
    WRITE,
    decrypt_objects,
    encrypt_outputs,
    use_key,
    use_objects,
)

__all__ = ["LakeAccess"]


class LakeAccess(Construct):
    """The roles' policies: IAM's part of access through Lake Formation, and direct access."""

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        settings: Settings,
        tables: Sequence[str],
        lake_key: kms.IKey,
        snapshots_key: kms.IKey,
        ml_key: kms.IKey,
    ) -> None:
        super().__init__(scope, id)
        self._settings = settings
        self._folders = [f"{table}/" for table in tables]
        self._lake_key = lake_key
        self._snapshots_key = snapshots_key
        self._enforced = settings.lake_formation.mode == "enforced"
        self._attach("etl", "Turns raw files into tables", self._loading())
        self._attach("break-glass", "Reads the lake in an emergency", self._emergency())
        self._attach("training", "Reads what it may train on", self._training())
        if settings.on_destroy == "delete":
            self._attach("deployer", "Loads example data, which it cannot read", self._seeding())
        self._attach("registrar", "Reads what is said of snapshots", [self._verdicts()])
        self._attach("broker", "Takes the training snapshot", self._snapshot("training"))
        self._attach("bias-evaluator", "Takes the facets snapshot", self._facets())
        if self._enforced:
            self._attach("lake-formation", "Reads tables for Lake Formation", self._tables())
            self._attach("data-scientist", "Queries the lake", self._exploring(ml_key))

    def _attach(self, role: Role, description: str, statements: Sequence[Allowed]) -> None:
        RolePolicy(
            self,
            role,
            settings=self._settings,
            role=role,
            description=description,
            statements=statements,
        )

    def _loading(self) -> list[Allowed]:
        folders = [*self._folders, f"{QUARANTINE}/"]
        return [
            *self._objects("raw", self._folders, READ),
            *self._objects("curated", folders, (*READ, *WRITE, "s3:DeleteObject")),
            use_key(self._lake_key, writes=True),
            self._catalog(),
        ]

    def _emergency(self) -> list[Allowed]:
        return [
            *self._objects("raw", self._folders, READ),
            *self._objects("curated", [*self._folders, f"{QUARANTINE}/"], READ),
            use_key(self._lake_key, writes=False),
        ]

    def _training(self) -> list[Allowed]:
        return [
            *self._objects("snapshots", ["training/data/", "weights/"], READ),
            use_key(self._snapshots_key, writes=False),
        ]

    def _tables(self) -> list[Allowed]:
        return [
            *self._objects("curated", self._folders, READ),
            use_key(self._lake_key, writes=False),
        ]

    def _snapshot(self, view: SnapshotView) -> list[Allowed]:
        statements = [
            *self._querying(workgroup_name(self._settings, view)),
            *self._objects("snapshots", [f"{view}/"], (*READ, *WRITE)),
            *self._objects("snapshots", [f"{view}/scratch/"], ["s3:DeleteObject"]),
            use_key(self._snapshots_key, writes=True),
            encrypt_outputs(self._snapshots_key),
        ]
        # Without Lake Formation a query reads with the role's own rights.
        return statements if self._enforced else [*statements, *self._tables()]

    def _facets(self) -> list[Allowed]:
        return [
            *self._snapshot("facets"),
            *self._objects("snapshots", ["weights/"], (*READ, *WRITE)),
        ]

    def _seeding(self) -> list[Allowed]:
        """Lets `sashiko stage --seed-data` write example data, where data may be deleted."""
        return [
            *self._objects("raw", self._folders, ["s3:PutObject"]),
            allow(["kms:GenerateDataKey"], [self._lake_key.key_arn]),
        ]

    def _verdicts(self) -> Allowed:
        """Allows decrypting verdicts and manifests in the artifacts bucket, by the snapshots' key.

        A job has one key for all its outputs, and a snapshot or a validation writes rows too.
        """
        artifacts = bucket_name(self._settings, "artifacts")
        return decrypt_objects(self._settings, self._snapshots_key.key_arn, [artifacts])

    def _exploring(self, ml_key: kms.IKey) -> list[Allowed]:
        return [
            *self._querying(exploration_workgroup_name(self._settings)),
            allow(
                ["athena:GetQueryResults"],
                [self._workgroup(exploration_workgroup_name(self._settings))],
            ),
            *self._objects("artifacts", [RESULTS], (*READ, *WRITE)),
            use_key(ml_key, writes=True),
        ]

    def _querying(self, workgroup: str) -> list[Allowed]:
        statements = [
            allow(
                [
                    "athena:GetQueryExecution",
                    "athena:GetWorkGroup",
                    "athena:StartQueryExecution",
                    "athena:StopQueryExecution",
                ],
                [self._workgroup(workgroup)],
            ),
            self._catalog(),
        ]
        if self._enforced:
            statements.append(
                allow(
                    ["lakeformation:GetDataAccess"],
                    ["*"],
                    why="the action knows no resources; which data it opens is Lake Formation's "
                    "to grant",
                )
            )
        return statements

    def _workgroup(self, name: str) -> str:
        return f"arn:aws:athena:{self._settings.region}:{self._settings.account}:workgroup/{name}"

    def _catalog(self) -> Allowed:
        glue = f"arn:aws:glue:{self._settings.region}:{self._settings.account}"
        database = database_name(self._settings)
        return allow(
            [
                "glue:GetDatabase",
                "glue:GetPartition",
                "glue:GetPartitions",
                "glue:GetTable",
                "glue:GetTables",
            ],
            [f"{glue}:catalog", f"{glue}:database/{database}", f"{glue}:table/{database}/*"],
            why="all tables of this database; which of them, and which columns, is Lake "
            "Formation's to grant",
        )

    def _objects(
        self, bucket: Bucket, folders: Sequence[str], actions: Sequence[str]
    ) -> list[Allowed]:
        return use_objects(self._settings, bucket, folders, actions)
