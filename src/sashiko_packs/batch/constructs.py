"""Batches in an account: their role, their table under Lake Formation, and their schedule."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from aws_cdk import Duration
from constructs import Construct

from sashiko.account.names import Bucket, Role, arn, database_name, etl_name
from sashiko.contract.glue import GlueTable
from sashiko.contract.load import load_contract
from sashiko.contract.model import Contract
from sashiko.errors import InputError
from sashiko.pipeline.project import contract_file
from sashiko.settings.environment import Settings, file_of
from sashiko.settings.environment_sections import ProcessingJob
from sashiko.settings.recipe import Recipe
from sashiko_cdk.events.event_flows import StateMachine
from sashiko_cdk.events.language import (
    DAY_MS,
    MIDNIGHT,
    either,
    expression,
    fail,
    find_approved_version,
    find_load,
    flow,
    list_versions,
    literal,
    start_pipeline,
    text,
    time_of,
)
from sashiko_cdk.identity.allow import Allowed, RolePolicy, allow
from sashiko_cdk.identity.role_table import APPROVE, JOBS, REGISTER, RoleRecord
from sashiko_cdk.lake.private_bucket import (
    READ,
    WRITE,
    PrivateBucket,
    encrypt_outputs,
    use_key,
    use_objects,
)
from sashiko_cdk.network.isolated_network import Use
from sashiko_cdk.pack_parts import LakeParts, PipelineParts
from sashiko_cdk.stack import EnvironmentStack
from sashiko_packs.batch.places import (
    FOLDER,
    JOBS_ROLE,
    NO_TIME,
    answers_table,
    batch_pipeline_name,
    batch_places,
)
from sashiko_packs.batch.records import answer_table
from sashiko_packs.batch.settings import BatchJobs, BatchSection

_PUBLISH: Final = ("glue:CreatePartition", "glue:GetPartition", "glue:GetTable")
_READ_LAKE: Final = ("athena:*", "glue:GetPartitions*", "glue:GetTables*")
ROLES: Final = (
    RoleRecord(
        name=JOBS_ROLE,
        kind="job",
        description="Jobs: score rows of a batch, and publish the answers",
        never=(*REGISTER, *APPROVE, *JOBS, *_READ_LAKE, "iam:PassRole"),
        publishes_tables=True,
        writes_captures=True,
    ),
)


def scoring_jobs(settings: Settings) -> Sequence[ProcessingJob]:
    """Returns what the job that scores runs on."""
    return (settings.section(BatchJobs).job,)


def scored_table(recipe: Recipe) -> str:
    """Returns the table of the rows that a recipe's version scores."""
    return recipe.section(BatchSection).table or load_contract(contract_file(recipe)).table


def answer_tables(
    settings: Settings, recipe: Recipe, contracts: Sequence[Contract]
) -> Mapping[str, GlueTable]:
    """Returns the table of the answers to a recipe's rows, by its location."""
    own, table = load_contract(contract_file(recipe)).table, scored_table(recipe)
    places = batch_places(settings, recipe, table=table)
    return {
        f"{places.answers}/": answer_table(contract, table=table)
        for contract in contracts
        if contract.table == own
    }


def lake_contracts(
    settings: Settings,  # noqa: ARG001 - a hook's
    recipe: Recipe,
    contracts: Sequence[Contract],
) -> Sequence[Contract]:
    """Returns the contract of a recipe's rows without a label, where they have a table."""
    own, section = load_contract(contract_file(recipe)).table, recipe.section(BatchSection)
    return [
        section.scored(contract)
        for contract in contracts
        if contract.table == own and section.table is not None
    ]


_SCRATCH: Final = Duration.days(7)


def protect_rows(settings: Settings, buckets: Mapping[Bucket, PrivateBucket]) -> None:  # noqa: ARG001 - a hook's
    """Says who reads the rows to score, and when they expire; only the broker writes them."""
    rows: tuple[Role, ...] = ("broker", JOBS_ROLE, "break-glass")
    prefix = f"training/{FOLDER}/"
    buckets["snapshots"].only(*rows, actions=["s3:GetObject*"], prefix=prefix)
    buckets["snapshots"].add_lifecycle_rule(prefix=prefix, expiration=_SCRATCH)


def add_batch_access(stack: EnvironmentStack, parts: LakeParts) -> None:
    """Adds what batches read and write to the stack DataLake."""
    BatchAccess(stack, "Batch", settings=stack.settings, parts=parts)


class BatchAccess(Construct):
    """The policies of `batch`, and of those who read what it publishes."""

    def __init__(self, scope: Construct, id: str, *, settings: Settings, parts: LakeParts) -> None:
        super().__init__(scope, id)
        recipes = parts.deployment.recipes
        tables = [answers_table(scored_table(recipe)) for recipe in recipes]
        places = [batch_places(settings, one, table=scored_table(one)) for one in recipes]
        answers = [f"{table}/" for table in tables]
        rows = [f"{place.rows.split('/', 3)[3]}/" for place in places]
        groups = [place.captures.rpartition("/")[2] for place in places]
        captures = [f"{group}/version=*/{group}/{FOLDER}-" for group in groups]
        records = [f"{place.published.split('/', 3)[3]}/" for place in places]
        database = database_name(settings)
        catalog = [
            arn(settings, "glue", place)
            for place in (
                "catalog", f"database/{database}", *(f"table/{database}/{one}" for one in tables)
            )
        ]  # fmt: skip
        scoring = [
            *use_objects(settings, "snapshots", rows, READ),
            *use_objects(settings, "curated", answers, (*READ, *WRITE)),
            *use_objects(settings, "capture", captures, WRITE),
            use_key(parts.snapshots_key, writes=False),
            use_key(parts.lake_key, writes=True),
            encrypt_outputs(parts.lake_key),
            use_key(parts.capture_key, writes=True),
            encrypt_outputs(parts.capture_key),
            allow(_PUBLISH, catalog),
        ]
        staging = allow(
            ["s3:PutObject"],
            [f"arn:aws:s3:::{place.empty_file.removeprefix('s3://')}" for place in places],
            conditions={"Null": {"s3:if-none-match": "false"}},
        )
        policies: dict[Role, tuple[str, Sequence[Allowed]]] = {
            JOBS_ROLE: ("Scores rows, and publishes answers", scoring),
            "data-scientist": (
                "Reads which batches are published",
                [*use_objects(settings, "artifacts", records, READ),
                 use_key(parts.ml_key, writes=False)],
            ),
            "deployer": (
                "Makes the record of no batch",
                [staging, allow(["kms:GenerateDataKey"], [parts.ml_key.key_arn])],
            ),
        }  # fmt: skip
        if settings.lake_formation.mode == "enforced":
            policies["lake-formation"] = (
                "Reads answers for Lake Formation",
                [*use_objects(settings, "curated", answers, READ),
                 use_key(parts.lake_key, writes=False)],
            )  # fmt: skip
        for role, (description, statements) in policies.items():
            RolePolicy(self, role, settings, role, statements, description=description)


def interface_endpoints(settings: Settings) -> Mapping[str, Use]:  # noqa: ARG001 - a hook's
    """Returns what the step PublishAnswers calls."""
    return {"glue": Use(callers=(JOBS_ROLE,), actions=_PUBLISH)}


def batch_flow(settings: Settings, recipe: Recipe, *, table: str) -> dict[str, Any]:
    """Returns the flow that a schedule starts: a batch by the newest approved version.

    Of a recipe with a window it has the rows of the days before that of the event, in UTC; else
    all rows of the newest load. Load, version and window are the execution's idempotency token. The
    preflight, in the pipeline, decides whether the version may score.
    """
    window = recipe.section(BatchSection).window
    days = window.days if window else 0
    start, end = (
        time_of(f"{MIDNIGHT} - {length * DAY_MS}") if window else NO_TIME for length in (days, 0)
    )
    return flow(
        "Starts the batch pipeline on the newest load, by the newest approved version",
        start="NameWindow",
        states={
            "NameWindow": {
                "Type": "Pass",
                "Assign": {
                    "time": expression("$states.input.time"),
                    "now": time_of("$toMillis($states.input.time)"),
                    "start": start,
                    "end": end,
                },
                "Next": "FindLoad",
            },
            "FindLoad": find_load(settings, table, next_state="IsLoaded"),
            "IsLoaded": either("$as_of != 'none'", "FindVersion", "NothingLoaded"),
            "NothingLoaded": fail(
                "NothingLoaded", f"no load of the table {table} has succeeded yet"
            ),
            **find_approved_version(settings, recipe.model_package_group, next_state="Start"),
            "Start": start_pipeline(
                batch_pipeline_name(settings, recipe.name),
                token=text(
                    literal("batch-version-"), "$version", literal("-load-"), "$as_of",
                    literal("-to-"), "$end",
                ),
                display_name=text(literal("version-"), "$version", literal("-to-"), "$end"),
                parameters={
                    parameter: expression(f"${variable}")
                    for parameter, variable in {
                        "AsOf": "as_of", "WindowStart": "start", "WindowEnd": "end",
                        "ModelVersion": "version", "Now": "now",
                    }.items()
                },
            ),
        },
    )  # fmt: skip


def is_scheduled(settings: Settings) -> bool:
    """Returns whether a schedule scores rows."""
    return settings.section(BatchJobs).schedule is not None


def add_schedule(stack: EnvironmentStack, parts: PipelineParts) -> list[StateMachine]:
    """Adds the schedule of batches to a stack, and what it starts; nothing where there is none."""
    schedule = stack.settings.section(BatchJobs).schedule
    if schedule is None:
        return []
    machines = []
    for recipe in parts.deployment.recipes:
        scope, table = Construct(stack, f"Batch-{recipe.name}"), scored_table(recipe)
        if all(one.table != table or one.lake for one in parts.deployment.contracts):
            raise InputError(
                f"{file_of('batch', stack.settings.environment)}: key `batch.schedule`: recipe "
                f"{recipe.name} scores another owner's table, which has no loads to start on: set "
                "null and use `sashiko batch run`, or name a table of this lake (`batch.table`)"
            )
        settings, name = stack.settings, batch_pipeline_name(stack.settings, recipe.name)
        machine = parts.flows.add_machine(
            scope,
            "Start",
            name=f"batch-{recipe.name}",
            role="pipeline-starter",
            definition=batch_flow(settings, recipe, table=table),
            allowed=[
                list_versions(settings, recipe.model_package_group),
                allow(
                    ["sagemaker:StartPipelineExecution"],
                    [arn(settings, "sagemaker", f"pipeline/{name}")],
                ),
                allow(
                    ["glue:GetJobRuns"], [arn(settings, "glue", f"job/{etl_name(settings, table)}")]
                ),
            ],
            description=f"Starts the pipeline {name}",
        )
        parts.flows.add_schedule(
            scope,
            "Schedule",
            name=f"{recipe.name}-batch",
            description="Rows of the lake are scored by the approved version",
            schedule=schedule,
            target=machine,
        )
        machines.append(machine)
    return machines
