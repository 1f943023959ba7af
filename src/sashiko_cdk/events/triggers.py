"""What starts by itself: an extract's ETL job, and the pipeline on what it loaded."""

from collections.abc import Sequence
from typing import Any, Final

from constructs import Construct

from sashiko.account.names import arn, bucket_name, etl_name, pipeline_name
from sashiko.contract.model import Contract
from sashiko.errors import InputError
from sashiko.pipeline.project import contract_file, recipe_table
from sashiko.settings.environment import Settings, file_of
from sashiko.settings.recipe import Recipe
from sashiko_cdk.events.event_flows import EventFlows, StateMachine
from sashiko_cdk.events.language import (
    RETRY,
    call,
    either,
    expression,
    fail,
    flow,
    literal,
    start_pipeline,
)
from sashiko_cdk.identity.allow import allow

__all__ = ["Triggers"]

_BUSY: Final = "Glue.ConcurrentRunsExceededException"
_WAIT_S: Final = 300
_PATIENCE_S: Final = 12 * 3600


def load_flow(settings: Settings, tables: Sequence[str]) -> dict[str, Any]:
    """Returns the flow that S3's event starts: a complete extract -> a run of its table's ETL job.

    EventBridge delivers an event at least once, and StartJobRun has no idempotency token: so the
    flow first looks for a run of the same extract that started after the marker was written. A job
    has one concurrent run: of two flows that start it at once, the second waits and looks again.
    """
    job = expression(f"{literal(etl_name(settings, ''))} & $table")
    extract = rf"/^({'|'.join(tables)})\/as_of=[0-9]{{8}}T[0-9]{{6}}Z\/_SUCCESS$/"
    same = "Arguments.`--as-of` = $as_of and $toMillis(StartedOn) >= $toMillis($since)"
    as_of = "$substringBefore($substringAfter($key, '/as_of='), '/_SUCCESS')"
    misplaced = (
        f"$key & {literal(': a marker belongs into TABLE/as_of=YYYYMMDDTHHMMSSZ/; ')}"
        f" & {literal('tables: ' + ', '.join(tables))}"
    )
    return flow(
        "Starts the ETL job of the extract that a _SUCCESS marker completes",
        start="Read",
        # Longer than an ETL job may run (EtlJobs): an endless wait must fail and notify.
        TimeoutSeconds=_PATIENCE_S,
        states={
            "Read": {
                "Type": "Pass",
                # The key may be URL-encoded as in S3's other notifications, with %3D for `=`.
                "Assign": {
                    "key": expression("$decodeUrlComponent($states.input.detail.object.key)"),
                    "since": expression("$states.input.time"),
                },
                "Next": "IsExtract",
            },
            "IsExtract": either(f"$contains($key, {extract})", "Name", "NotAnExtract"),
            "NotAnExtract": fail("NotAnExtract", expression(misplaced)),
            "Name": {
                "Type": "Pass",
                "Assign": {
                    "table": expression("$substringBefore($key, '/')"),
                    "as_of": expression(as_of),
                },
                "Next": "FindRuns",
            },
            "FindRuns": call(
                "aws-sdk:glue:getJobRuns",
                {"JobName": job, "MaxResults": 50},
                Output={"found": expression(f"$count($states.result.JobRuns[{same}])")},
                Next="IsStarted",
            ),
            "IsStarted": either("$states.input.found > 0", "Started", "Start"),
            "Start": call(
                "glue:startJobRun",
                {"JobName": job, "Arguments": {"--as-of": expression("$as_of")}},
                retry=[{"ErrorEquals": [_BUSY], "MaxAttempts": 0}, RETRY],
                Catch=[{"ErrorEquals": [_BUSY], "Next": "WaitForOther"}],
                Next="Started",
            ),
            "WaitForOther": {"Type": "Wait", "Seconds": _WAIT_S, "Next": "FindRuns"},
            "Started": {"Type": "Succeed"},
        },
    )


def training_flow(pipeline: str) -> dict[str, Any]:
    """Returns the flow that the success of an ETL job starts.

    The id of the job run is the execution's idempotency token: SageMaker starts one execution
    however often the event is delivered. The event does not name the extract, so the flow reads it
    from the job run.
    """
    run = expression("$states.input.detail.jobRunId")
    return flow(
        "Starts the pipeline on the version that an ETL job has loaded",
        start="ReadRun",
        states={
            "ReadRun": call(
                "aws-sdk:glue:getJobRun",
                {"JobName": expression("$states.input.detail.jobName"), "RunId": run},
                Assign={
                    "as_of": expression("$states.result.JobRun.Arguments.`--as-of`"),
                    "run": run,
                },
                Next="Start",
            ),
            "Start": start_pipeline(
                pipeline,
                token=expression("$run"),
                display_name=expression("'as-of-' & $as_of"),
                parameters={"AsOf": expression("$as_of")},
                PipelineExecutionDescription=expression("'ETL job run ' & $run"),
            ),
        },
    )


class Triggers(Construct):
    """Rules and state machines, as far as the settings turn them on."""

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        settings: Settings,
        flows: EventFlows,
        contracts: Sequence[Contract],
        recipes: Sequence[Recipe],
    ) -> None:
        """The load of a recipe's table, and of no other, starts the recipe's pipeline.

        A table of another owner has no load here, so nothing starts the pipeline but a person.

        Raises:
            InputError: if a recipe's table is not in the lake.
        """
        super().__init__(scope, id)
        self.machines: list[StateMachine] = []
        tables = [contract.table for contract in contracts if contract.lake is None]
        all_tables = [contract.table for contract in contracts]
        table_of = {recipe.name: _table(settings, recipe, all_tables) for recipe in recipes}
        if settings.triggers.etl and tables:
            jobs = [arn(settings, "glue", f"job/{etl_name(settings, table)}") for table in tables]
            machine = flows.add_machine(
                self,
                "StartEtl",
                name="start-etl",
                role="etl-starter",
                definition=load_flow(settings, tables),
                allowed=[allow(["glue:GetJobRuns", "glue:StartJobRun"], jobs)],
                description="Starts the ETL jobs",
            )
            self.machines.append(machine)
            flows.add_rule(
                self,
                "ExtractComplete",
                name="extract-complete",
                description="A _SUCCESS marker in the raw bucket starts its table's ETL job",
                source="aws.s3",
                kind="Object Created",
                detail={
                    "bucket": {"name": [bucket_name(settings, "raw")]},
                    # Wherever it lies: one in the wrong place is an error that somebody hears of.
                    "object": {"key": [{"suffix": "_SUCCESS"}]},
                },
                target=machine,
            )
        if settings.triggers.pipeline:
            for recipe, table in table_of.items():
                if table not in tables:
                    continue
                self._pipeline(settings, flows, recipe, table)

    def _pipeline(self, settings: Settings, flows: EventFlows, recipe: str, table: str) -> None:
        name, job = pipeline_name(settings, recipe), etl_name(settings, table)
        starting = [arn(settings, "sagemaker", f"pipeline/{name}")]
        machine = flows.add_machine(
            self,
            f"Start-{recipe}",
            name=f"start-{recipe}",
            role="pipeline-starter",
            definition=training_flow(name),
            allowed=[
                allow(["glue:GetJobRun"], [arn(settings, "glue", f"job/{job}")]),
                allow(["sagemaker:StartPipelineExecution"], starting),
            ],
            description=f"Starts the pipeline {name}",
        )
        self.machines.append(machine)
        flows.add_rule(
            self,
            f"Loaded-{recipe}",
            name=f"{recipe}-loaded",
            description=f"A loaded version of {table} starts the pipeline {name}",
            source="aws.glue",
            kind="Glue Job State Change",
            detail={"jobName": [job], "state": ["SUCCEEDED"]},
            target=machine,
        )


def _table(settings: Settings, recipe: Recipe, tables: Sequence[str]) -> str:
    """Returns the table that a recipe's pipeline trains on."""
    file, table = contract_file(recipe), recipe_table(recipe)
    if table not in tables:
        raise InputError(
            f"{file_of('contracts', settings.environment)}: key `contracts`: recipe {recipe.name} "
            f"trains on {file}, which is not in the lake; in config/{settings.environment}.yaml "
            f"add `{file.name.split('.')[0]}` to `contracts`"
        )
    return table
