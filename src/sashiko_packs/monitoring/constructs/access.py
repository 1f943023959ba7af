"""Monitoring's part of the lake: who writes its stores, how long they last, and their table."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

from aws_cdk import Duration
from aws_cdk import aws_kms as kms
from constructs import Construct

from sashiko.account.endpoint_spec import endpoint_name
from sashiko.account.names import Bucket, Role, arn, bucket_name
from sashiko.contract.glue import GlueColumn, GlueTable, captured_name
from sashiko.contract.model import Contract
from sashiko.pipeline.definition.graph import JobObjects
from sashiko.pipeline.project import recipe_table
from sashiko.settings.environment import Settings
from sashiko.settings.recipe import Recipe
from sashiko_cdk.identity.allow import Allowed, RolePolicy, allow
from sashiko_cdk.identity.role_permissions import flow_permissions
from sashiko_cdk.identity.role_table import APPROVE, JOBS, LAKE, REGISTER, RoleRecord
from sashiko_cdk.lake.private_bucket import (
    READ,
    WRITE,
    PrivateBucket,
    encrypt_outputs,
    use_key,
    use_objects,
)
from sashiko_cdk.pack_parts import LakeParts
from sashiko_cdk.stack import EnvironmentStack
from sashiko_packs.monitoring.places import (
    DECISIONS,
    FOLDER,
    JOBS_ROLE,
    PRIVACY_OFFICER,
    PUBLISHER,
    MonitorPlaces,
    monitor_pipeline_name,
    monitor_places,
)

__all__ = ["MonitorAccess"]


_NEVER: Final = (*REGISTER, *APPROVE, *JOBS, *LAKE, "iam:PassRole")
ROLES: Final = (
    RoleRecord(
        name=JOBS_ROLE,
        kind="job",
        description="Jobs: judge captured requests, which no other role reads",
        never=_NEVER,
        reads_captures=True,
    ),
    RoleRecord(
        name=PUBLISHER,
        kind="flow",
        description="Step Functions: publishes what a window of requests showed",
        never=(*REGISTER, *APPROVE, *JOBS, *LAKE, "s3:PutObject*", "iam:PassRole"),
        own=flow_permissions,
        publishes_alerts=True,
    ),
    RoleRecord(
        name=PRIVACY_OFFICER,
        kind="person",
        description="Person: deletes what monitoring keeps of a key",
        never=_NEVER,
        deletes_requests=True,
    ),
)
# Arguments of the registrar's job that name what a version's answers are compared with. The
# monitoring pipeline gets these URIs as parameters, so its definition does not name them.
_COMPARED: Final = ("--reference-uri", "--test-uri")


def readers(settings: Settings, job: JobObjects) -> Iterator[tuple[Role, str]]:
    """Yields who reads which URI of those that a registration records."""
    if job.role == settings.role_arn("registrar"):
        for name in _COMPARED:
            yield JOBS_ROLE, job.arguments.get(name, "")


def add_monitor_access(stack: EnvironmentStack, parts: LakeParts) -> None:
    """Adds what monitoring reads and writes to the stack DataLake."""
    MonitorAccess(
        stack,
        "Monitor",
        settings=stack.settings,
        recipes=parts.deployment.recipes,
        capture_key=parts.capture_key,
        snapshots_key=parts.snapshots_key,
        ml_key=parts.ml_key,
    )


class MonitorAccess(Construct):
    """The policies of `monitor`, which reads captures, and of those that give and get its rows."""

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        settings: Settings,
        recipes: Sequence[Recipe],
        capture_key: kms.IKey,
        snapshots_key: kms.IKey,
        ml_key: kms.IKey,
    ) -> None:
        super().__init__(scope, id)
        self._settings = settings
        self._ml_key = ml_key
        self._capture_key = capture_key
        self._snapshots_key = snapshots_key
        places = [monitor_places(settings, recipe) for recipe in recipes]
        decisions = self._folders("snapshots", (item.decisions for item in places))
        decided = self._objects("snapshots", decisions, READ)
        endpoints = sorted({endpoint_name(settings, recipe) for recipe in recipes})
        policies: Sequence[tuple[Role, str, Sequence[Allowed]]] = (
            (JOBS_ROLE, "Reads captured requests, keeps ledger", self._judging(places, endpoints)),
            ("bias-evaluator", "Reads the decisions of a window", decided),
            ("data-scientist", "Reads outcomes, draws rows to label", self._labelling(places)),
            ("deployer", "Makes the empty stores of monitoring", self._staging(places)),
            (PRIVACY_OFFICER, "Deletes what is kept of a key", self._deleting(places, recipes)),
        )
        for role, description, statements in policies:
            RolePolicy(self, role, settings, role, statements, description=description)

    def _judging(
        self, places: Sequence[MonitorPlaces], endpoints: Sequence[str]
    ) -> Sequence[Allowed]:
        decoded = self._folders("capture", (item.decoded for item in places))
        captures = [f"{endpoint}/" for endpoint in endpoints]
        kept = (uri for item in places for uri in (item.ledger, item.decisions))
        given = (uri for item in places for uri in (item.labels, item.draws))
        written = self._folders("snapshots", kept)
        read = [*written, *self._folders("snapshots", given)]
        return [
            *self._objects("capture", captures, READ),
            *self._objects("capture", decoded, (*READ, *WRITE)),
            *self._objects("snapshots", read, READ),
            *self._objects("snapshots", written, WRITE),
            use_key(self._capture_key, writes=True),
            encrypt_outputs(self._capture_key),
            use_key(self._snapshots_key, writes=True),
            encrypt_outputs(self._snapshots_key),
        ]

    def _labelling(self, places: Sequence[MonitorPlaces]) -> Sequence[Allowed]:
        """Lets a person read what was decided for which key: no text, and no facet."""
        outcomes = self._folders("artifacts", (item.windows for item in places))
        kept = self._folders("snapshots", (item.ledger for item in places))
        given = (uri for item in places for uri in (item.labels, item.draws))
        written = self._folders("snapshots", given)
        return [
            *self._objects("artifacts", outcomes, READ),
            *self._objects("snapshots", [*kept, *written], READ),
            *self._objects("snapshots", written, ["s3:PutObject"]),
            use_key(self._ml_key, writes=False),
            use_key(self._snapshots_key, writes=True),
        ]

    def _deleting(
        self, places: Sequence[MonitorPlaces], recipes: Sequence[Recipe]
    ) -> Sequence[Allowed]:
        """Lets a person rewrite the stores without a key, and see whether a window is judged."""
        stores = (uri for item in places for uri in (item.ledger, item.labels, item.draws))
        pipelines = [
            arn(
                self._settings,
                "sagemaker",
                f"pipeline/{monitor_pipeline_name(self._settings, recipe.name)}",
            )
            for recipe in recipes
        ]
        return [
            *self._objects(
                "snapshots", self._folders("snapshots", stores), ["s3:GetObject", "s3:PutObject"]
            ),
            use_key(self._snapshots_key, writes=True),
            allow(["sagemaker:ListPipelineExecutions"], pipelines),
        ]

    def _staging(self, places: Sequence[MonitorPlaces]) -> Sequence[Allowed]:
        """Lets `sashiko env stage` create files without rows, and overwrite none.

        S3 evaluates `s3:if-none-match` on PutObject ("Enforce conditional writes on Amazon S3
        buckets", Amazon S3 User Guide).
        """
        files = [uri.removeprefix("s3://") for item in places for uri in item.empty_files]
        return [
            allow(
                ["s3:PutObject"],
                [f"arn:aws:s3:::{file}" for file in files],
                conditions={"Null": {"s3:if-none-match": "false"}},
            ),
            allow(["kms:GenerateDataKey"], [self._snapshots_key.key_arn, self._ml_key.key_arn]),
        ]

    def _objects(
        self, bucket: Bucket, folders: Sequence[str], actions: Sequence[str]
    ) -> list[Allowed]:
        return use_objects(self._settings, bucket, folders, actions)

    def _folders(self, bucket: Bucket, uris: Iterable[str]) -> list[str]:
        start = f"s3://{bucket_name(self._settings, bucket)}/"
        return [f"{uri.removeprefix(start)}/" for uri in uris]


_SCRATCH: Final = Duration.days(7)
_DELETED: Final = Duration.days(14)  # in which a store that a job has damaged can be restored
# People label, by the keys of a draw, and delete keys.
_WRITERS: Final[tuple[Role, ...]] = (JOBS_ROLE, "data-scientist", PRIVACY_OFFICER)


def protect_stores(settings: Settings, buckets: Mapping[Bucket, PrivateBucket]) -> None:  # noqa: ARG001  # a hook's
    """Says who writes and reads the stores in the snapshots bucket, and when versions expire."""
    snapshots = buckets["snapshots"]
    prefix = f"{FOLDER}/"
    snapshots.only(*_WRITERS, "deployer", actions=["s3:PutObject"], prefix=prefix)
    readers: tuple[Role, ...] = (*_WRITERS, "bias-evaluator", "break-glass")
    snapshots.only(*readers, actions=["s3:GetObject*"], prefix=prefix)
    snapshots.add_lifecycle_rule(prefix=f"{prefix}{DECISIONS}/", expiration=_SCRATCH)
    # Old versions have the keys that were deleted since. Of two rules the shorter holds ("How
    # Amazon S3 handles conflicts in lifecycle configurations", S3 User Guide).
    snapshots.add_lifecycle_rule(prefix=prefix, noncurrent_version_expiration=_DELETED)


def captured_table(contract: Contract) -> GlueTable:
    """Returns the Glue table of decoded requests, with the columns of the contract.

    `input` has every column that a template of the contract may use: Parquet's are found by name,
    and one that a model does not read is null.
    """
    fields = ",".join(f"{name}:string" for name in contract.text_columns)
    favourable = "` or `".join(contract.classes[contract.first_favourable :])
    score = f"The probability of `{favourable}`."
    if contract.is_number:
        score = f"The predicted value of `{contract.label.column}`."
    by_class = ("scores", "array<double>", f"Of `{'`, `'.join(contract.classes)}`.")
    columns = (
        ("event_id", "string", "SageMaker's id of the request."),
        ("position", "int", "Of the row in its request, from 0."),
        ("time", "timestamp", "When it was answered, in UTC."),
        ("version", "bigint", "Of the model that answered."),
        ("key", "string", f"`{contract.key}`, where the request named it."),
        ("score", "double", score),
        *([by_class] if len(contract.classes) > 2 else []),
        ("decision", "string", f"`{'` or `'.join(contract.classes)}`."),
        ("text", "string", "The text, where the request gave one instead of columns."),
        ("input", f"struct<{fields}>", "The columns of the request, as their text."),
        ("cluster", "bigint", "Rows with one number may be alike: of a client, text or request."),
        ("dominates", "boolean", "Whether its cluster has too many of the window's rows."),
    )
    return GlueTable(
        name=captured_name(contract.table),
        description=f"Answered requests: {contract.title}",
        columns=tuple(
            GlueColumn(name=name, type=kind, comment=text) for name, kind, text in columns
        ),
        partition_key=None,
    )


def captured_tables(
    settings: Settings, recipe: Recipe, contracts: Sequence[Contract]
) -> Mapping[str, GlueTable]:
    """Returns the table of a recipe's decoded requests by its location."""
    table = recipe_table(recipe)
    return {
        f"{monitor_places(settings, recipe).decoded}/": captured_table(contract)
        for contract in contracts
        if contract.table == table
    }
