"""What each role may do in the artifacts bucket: what its steps read and write, and no more."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from aws_cdk import aws_kms as kms
from constructs import Construct

from infra.components.allow import Allowed, allow
from infra.components.role_policy import RolePolicy
from infra.components.role_table import JOB_ROLES, STAGED
from sashiko.aws.names import MODELS, Role, bucket_name
from sashiko.settings import Settings

_READ = ("s3:GetObject", "s3:GetObjectVersion")
_WRITE = ("s3:AbortMultipartUpload", "s3:ListMultipartUploadParts", "s3:PutObject")
MLFLOW_FOLDER: Final = "mlflow"
_MODELS = f"{MODELS}/*"


@dataclass(frozen=True, kw_only=True)
class Places:
    """Keys of the artifacts bucket, as patterns.

    Attributes:
        reads: what a role may read.
        writes: what it may write.
        deletes: what it may delete.
        lists: what it may look for, and neither read nor write.
    """

    reads: tuple[str, ...] = ()
    writes: tuple[str, ...] = ()
    deletes: tuple[str, ...] = ()
    lists: tuple[str, ...] = ()


def _outputs(*outputs: str) -> tuple[str, ...]:
    """Names outputs of steps, in any execution: `Step`, or `Step/output`."""
    return tuple(f"runs/*/{output}/*" for output in outputs)


# A step's output lies below `runs/<execution>/<step>/<output>/`; what is staged, under the hash of
# its content. tests/infra/test_pipeline_places.py holds this against the definition, both ways.
PLACES: Mapping[Role, Places] = {
    "bias-evaluator": Places(
        reads=(
            "config/*",
            *_outputs(
                "Evaluate/predictions",
                "PostBias/analysis_result",
                "PreBias/analysis_result",
                "Prepare/train",
                # The facets must be of the same rows.
                "Snapshot/manifest",
                "SnapshotFacets/manifest",
            ),
        ),
        writes=_outputs(
            "JudgeBias",
            "PostBias/analysis_result",
            "PreBias/analysis_result",
            "SnapshotFacets/manifest",
            "ValidateFacets/verdict",
        ),
    ),
    "broker": Places(
        reads=("config/*", *_outputs("Snapshot/manifest")),
        writes=_outputs("Snapshot/manifest", "Validate/verdict"),
    ),
    # Before a run: is all of it staged?
    "data-scientist": Places(lists=STAGED),
    # It reads back what it staged, to hold its checksum against its name.
    "deployer": Places(reads=STAGED, writes=STAGED),
    "device-check": Places(
        reads=(
            "config/*",
            *_outputs(
                "Compile/artifact",
                "Evaluate/decision",
                "Evaluate/predictions",
                "Prepare/test",
                "Track/verdicts",
            ),
        ),
        writes=_outputs("DeviceCheck"),
    ),
    # An artifact that waits to be checked on a device is no registered model yet.
    "inference": Places(reads=(_MODELS, *_outputs("Compile/artifact"))),
    "mlflow": Places(
        reads=(f"{MLFLOW_FOLDER}/*",),
        writes=(f"{MLFLOW_FOLDER}/*",),
        deletes=(f"{MLFLOW_FOLDER}/*",),
    ),
    # It reads nothing: its gates are a function's, whose reads follow from the definition.
    "pipeline": Places(),
    "preflight": Places(reads=(_MODELS,)),
    "registrar": Places(
        reads=(
            "config/*",
            "source/*",
            *_outputs(
                "Compile",
                "DeviceCheck/verdicts",
                "Evaluate/decision",
                "Evaluate/metrics",
                "Evaluate/verdict",
                "Explain/explanations",
                "JudgeBias",
                "Snapshot/manifest",
                "SnapshotFacets/manifest",
                "Track",
                "Validate/verdict",
                "ValidateFacets/verdict",
            ),
        ),
        writes=(_MODELS, *_outputs("Register", "Track")),
    ),
    "registry-reader": Places(reads=(_MODELS,), writes=_outputs("ResolveChampion")),
    "training": Places(
        reads=(
            "checkpoints/*",
            "code/*",
            "config/*",
            "weights/*",
            *_outputs(
                "Compile/artifact", "Evaluate/predictions", "Prepare", "ResolveChampion", "Train"
            ),
        ),
        writes=("checkpoints/*", *_outputs("Compile", "Evaluate", "Explain", "Prepare", "Train")),
    ),
}


def places(settings: Settings) -> Mapping[Role, Places]:
    """Returns each role's places; a batch job reads and writes with the role of its model."""
    taking: Mapping[Role, Places] = {"promoter": Places(writes=(_MODELS,))}
    promoter = taking if settings.promotion.source else {}
    if settings.device_check != "transform":
        return {**PLACES, **promoter}
    batch, served = _outputs("DeviceCheck/transform"), PLACES["inference"]
    check = PLACES["device-check"]
    return {
        **PLACES,
        **promoter,
        "device-check": replace(check, reads=(*check.reads, *batch)),
        "inference": replace(served, reads=(*served.reads, *batch), writes=batch),
    }


class ArtifactAccess(Construct):
    """The roles' policies on the artifacts bucket and its key."""

    def __init__(self, scope: Construct, id: str, *, settings: Settings, key: kms.IKey) -> None:
        """Attaches the policies.

        Args:
            scope: the DataLake stack, which makes the bucket.
            id: the construct's id.
            settings: the environment.
            key: encrypts the artifacts and the jobs' volumes.
        """
        super().__init__(scope, id)
        self._bucket = f"arn:aws:s3:::{bucket_name(settings, 'artifacts')}"
        self._key = key
        for role, own in places(settings).items():
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
        # An input's prefix has no slash at its end, so that a pattern of its objects is none of it.
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
        opening = [allow(actions, [self._key.key_arn])] if used else []
        if role not in (*JOB_ROLES, "pipeline"):
            return opening
        # SageMaker asks it of the role of a job whose output it encrypts.
        encrypting = ["kms:Encrypt"] if role in JOB_ROLES else []
        return [
            *opening,
            allow(["kms:DescribeKey", *encrypting], [self._key.key_arn]),
            # The volume of a job's instance is opened by a grant, which SageMaker makes.
            allow(
                ["kms:CreateGrant"],
                [self._key.key_arn],
                conditions={"Bool": {"kms:GrantIsForAWSResource": "true"}},
            ),
        ]
