"""Permissions of each role on the artifacts bucket: only what its jobs read and write."""

from collections.abc import Sequence

from aws_cdk import aws_kms as kms
from constructs import Construct

from sashiko.account.names import Role, bucket_name
from sashiko.pipeline.definition.definition_records import parse_definition
from sashiko.settings.environment import Settings
from sashiko_cdk.identity.allow import Allowed, allow
from sashiko_cdk.identity.artifact_places import Places, artifact_places
from sashiko_cdk.identity.role_policy import RolePolicy
from sashiko_cdk.identity.role_table import roles_of
from sashiko_cdk.pipeline.compiled_pipeline import Compiled

__all__ = ["ArtifactAccess"]

_READ = ("s3:GetObject", "s3:GetObjectVersion")
_WRITE = ("s3:AbortMultipartUpload", "s3:ListMultipartUploadParts", "s3:PutObject")


class ArtifactAccess(Construct):
    """The roles' policies on the artifacts bucket and its key."""

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        settings: Settings,
        pipelines: Sequence[Compiled],
        key: kms.IKey,
    ) -> None:
        super().__init__(scope, id)
        self._bucket = f"arn:aws:s3:::{bucket_name(settings, 'artifacts')}"
        self._key = key
        self._jobs = roles_of(settings, "job")
        definitions = [parse_definition(compiled.definition) for compiled in pipelines]
        for role, own in artifact_places(settings, definitions).items():
            RolePolicy(
                self,
                role,
                settings=settings,
                role=role,
                description="Reads and writes its own artifacts",
                statements=[
                    *self._objects(own),
                    *self._listing(own),
                    *self._encryption(role, own),
                ],
            )

    def _objects(self, places: Places) -> list[Allowed]:
        why = "Executions, and what is staged, are named when they are made; each step's is here."
        uses: Sequence[tuple[Sequence[str], Sequence[str]]] = (
            (_READ, places.reads),
            (_WRITE, places.writes),
            (("s3:DeleteObject",), places.deletes),
        )
        return [
            allow(actions, [f"{self._bucket}/{key}" for key in keys], why=why)
            for actions, keys in uses
            if keys
        ]

    def _listing(self, places: Places) -> list[Allowed]:
        # An input's prefix has no trailing slash: the pattern of its objects does not match it.
        keys = sorted({*places.reads, *places.writes, *places.lists})
        if not keys:
            return []
        prefixes = [word for key in keys for word in (key.removesuffix("/*"), key)]
        return [
            allow(["s3:GetBucketLocation"], [self._bucket]),
            allow(
                ["s3:ListBucket"],
                [self._bucket],
                conditions={"StringLike": {"s3:prefix": prefixes}},
            ),
        ]

    def _encryption(self, role: Role, places: Places) -> list[Allowed]:
        actions = ["kms:Decrypt", "kms:GenerateDataKey"] if places.writes else ["kms:Decrypt"]
        used = places.reads or places.writes
        key_use = [allow(actions, [self._key.key_arn])] if used else []
        if role not in (*self._jobs, "pipeline"):
            return key_use
        # SageMaker needs it of the job's role to encrypt the job's output.
        encrypting = ["kms:Encrypt"] if role in self._jobs else []
        return [
            *key_use,
            allow(["kms:DescribeKey", *encrypting], [self._key.key_arn]),
            # SageMaker decrypts the volume of a job's instance by a grant that it creates.
            allow(
                ["kms:CreateGrant"],
                [self._key.key_arn],
                conditions={"Bool": {"kms:GrantIsForAWSResource": "true"}},
            ),
        ]
