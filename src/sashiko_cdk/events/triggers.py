"""What starts by itself: an extract's ETL job, and the pipeline on what it loaded."""

from collections.abc import Sequence
from typing import Any

from constructs import Construct

from sashiko.account.names import bucket_name, etl_name, pipeline_name
from sashiko.errors import InputError
from sashiko.pipeline.project import contract_file, recipe_table
from sashiko.settings.environment import Settings, file_of
from sashiko.settings.recipe import Recipe
from sashiko_cdk.events.event_flows import EventFlows
from sashiko_cdk.events.event_rule import EventRule
from sashiko_cdk.events.flows.language import call, expression, flow
from sashiko_cdk.events.flows.load_flow import load_flow
from sashiko_cdk.events.state_machine import StateMachine
from sashiko_cdk.identity.allow import allow

__all__ = ["Triggers"]


def training_flow(pipeline: str) -> dict[str, Any]:
    """Returns the flow that the success of an ETL job starts.

    The id of the job run is the execution's idempotency token: SageMaker starts one execution
    however often the event is delivered. The event does not name the extract, so the flow reads it
    from the job run.
    """
    return flow(
        "Starts the pipeline on the version that an ETL job has loaded",
        start="ReadRun",
        states={
            "ReadRun": call(
                "aws-sdk:glue:getJobRun",
                {
                    "JobName": expression("$states.input.detail.jobName"),
                    "RunId": expression("$states.input.detail.jobRunId"),
                },
                Assign={
                    "as_of": expression("$states.result.JobRun.Arguments.`--as-of`"),
                    "run": expression("$states.input.detail.jobRunId"),
                },
                Next="Start",
            ),
            "Start": call(
                "aws-sdk:sagemaker:startPipelineExecution",
                {
                    "PipelineName": pipeline,
                    "ClientRequestToken": expression("$run"),
                    "PipelineExecutionDisplayName": expression("'as-of-' & $as_of"),
                    "PipelineExecutionDescription": expression("'ETL job run ' & $run"),
                    "PipelineParameters": [{"Name": "AsOf", "Value": expression("$as_of")}],
                },
                End=True,
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
        tables: Sequence[str],
        recipes: Sequence[Recipe],
    ) -> None:
        """The load of a recipe's table, and of no other, starts the recipe's pipeline.

        Raises:
            InputError: if a recipe's table is not in the lake.
        """
        super().__init__(scope, id)
        self._settings = settings
        self._flows = flows
        self.machines: list[StateMachine] = []
        table_of = {recipe.name: _table(settings, recipe, tables) for recipe in recipes}
        if settings.triggers.etl:
            self._etl(tables)
        if settings.triggers.pipeline:
            for recipe, table in table_of.items():
                self._pipeline(recipe, table)

    def _job_arn(self, table: str) -> str:
        place = f"{self._settings.region}:{self._settings.account}"
        return f"arn:aws:glue:{place}:job/{etl_name(self._settings, table)}"

    def _etl(self, tables: Sequence[str]) -> None:
        machine = StateMachine(
            self,
            "StartEtl",
            settings=self._settings,
            name="start-etl",
            role="etl-starter",
            definition=load_flow(self._settings, tables),
            log=self._flows.log,
            allowed=[
                allow(
                    ["glue:GetJobRuns", "glue:StartJobRun"],
                    [self._job_arn(table) for table in tables],
                )
            ],
            description="Starts the ETL jobs",
        )
        self.machines.append(machine)
        EventRule(
            self,
            "ExtractComplete",
            settings=self._settings,
            name="extract-complete",
            description="A _SUCCESS marker in the raw bucket starts its table's ETL job",
            pattern={
                "source": ["aws.s3"],
                "detail-type": ["Object Created"],
                "detail": {
                    "bucket": {"name": [bucket_name(self._settings, "raw")]},
                    # Wherever it lies: one in the wrong place is an error that somebody hears of.
                    "object": {"key": [{"suffix": "_SUCCESS"}]},
                },
            },
            target=machine,
            undelivered=self._flows.undelivered,
        )

    def _pipeline(self, recipe: str, table: str) -> None:
        name = pipeline_name(self._settings, recipe)
        place = f"{self._settings.region}:{self._settings.account}"
        machine = StateMachine(
            self,
            f"Start-{recipe}",
            settings=self._settings,
            name=f"start-{recipe}",
            role="pipeline-starter",
            definition=training_flow(name),
            log=self._flows.log,
            allowed=[
                allow(["glue:GetJobRun"], [self._job_arn(table)]),
                allow(
                    ["sagemaker:StartPipelineExecution"],
                    [f"arn:aws:sagemaker:{place}:pipeline/{name}"],
                ),
            ],
            description=f"Starts the pipeline {name}",
        )
        self.machines.append(machine)
        EventRule(
            self,
            f"Loaded-{recipe}",
            settings=self._settings,
            name=f"{recipe}-loaded",
            description=f"A loaded version of {table} starts the pipeline {name}",
            pattern={
                "source": ["aws.glue"],
                "detail-type": ["Glue Job State Change"],
                "detail": {
                    "jobName": [etl_name(self._settings, table)],
                    "state": ["SUCCEEDED"],
                },
            },
            target=machine,
            undelivered=self._flows.undelivered,
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
