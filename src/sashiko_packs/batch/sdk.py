"""The steps of the batch pipeline: rows of the lake through a version that passes the preflight."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from sagemaker.core.workflow.execution_variables import ExecutionVariables
from sagemaker.core.workflow.functions import Join
from sagemaker.core.workflow.parameters import ParameterString
from sagemaker.mlops.workflow import Pipeline
from sagemaker.mlops.workflow.steps import ProcessingStep

from sashiko.account import deploy_time
from sashiko.account.endpoint_spec import expected_of
from sashiko.account.names import (
    database_name,
    lake_uri,
    model_package_arn,
    model_package_group_name,
)
from sashiko.base.files import canonical_json, sha256_file
from sashiko.contract.load import load_contract
from sashiko.contract.model import Contract
from sashiko.pipeline.definition.definition_records import parse_definition
from sashiko.pipeline.sdk.jobs import Jobs, Uri, join_uri, output_uri
from sashiko.settings.environment import Settings
from sashiko_packs.batch.cost import check_cost
from sashiko_packs.batch.places import (
    FOLDER,
    JOBS_ROLE,
    BatchPlaces,
    batch_pipeline_name,
    batch_places,
)
from sashiko_packs.batch.settings import BatchJobs, BatchSection

__all__ = ["BatchParameters", "BatchScoring", "batch_parameters"]


@dataclass(frozen=True)
class BatchParameters:
    """The parameters of the batch pipeline; times are such as `20261128T000000Z`."""

    lake_uri: ParameterString  # location of the lake; its scheme selects the engine
    as_of: ParameterString  # the version of the table's data
    window_start: ParameterString  # begin of the window, or `all`
    window_end: ParameterString  # its end, which is not part of it, or `all`
    version: ParameterString  # the version that scores
    now: ParameterString  # when the run begins
    registry: ParameterString  # which kind of registry
    tracking_uri: ParameterString  # of MLflow
    answers_uri: ParameterString  # where the tables of answers are; its scheme selects the catalog


def batch_parameters(settings: Settings) -> BatchParameters:
    """Declares the parameters; `local` has no defaults: `sashiko batch run` passes every value."""
    local = settings.tier == "local"

    def declare(name: str, default: str) -> ParameterString:
        return ParameterString(name, default_value=None if local else default)

    return BatchParameters(
        lake_uri=declare("LakeUri", lake_uri(settings)),
        as_of=ParameterString("AsOf"),
        window_start=ParameterString("WindowStart"),
        window_end=ParameterString("WindowEnd"),
        version=ParameterString("ModelVersion"),
        now=ParameterString("Now"),
        registry=declare("ModelRegistry", "sagemaker"),
        tracking_uri=declare("MlflowTrackingUri", deploy_time.tracking_uri()),
        answers_uri=declare("AnswersUri", f"glue://{database_name(settings)}"),
    )


@dataclass(frozen=True)
class BatchScoring:
    """Creates the steps of the batch pipeline."""

    jobs: Jobs  # creates steps
    parameters: BatchParameters  # of the pipeline

    def preflight(self) -> ProcessingStep:
        """BatchPreflight: the version's artifact, if it may score."""
        settings, recipe = self.jobs.settings, self.jobs.recipe
        version = model_package_arn(settings, recipe.model_package_group, 0)
        expected = asdict(expected_of(settings, recipe, version))
        return self._step(
            "BatchPreflight",
            role="registry-reader",
            module="sashiko_packs.batch.steps.preflight",
            inputs={
                "expected": self.jobs.channel(
                    "config", {"expected.json": canonical_json(expected)}
                ),
                "published": self._places.published,
            },
            outputs=("plan", "artifact"),
            own=["--registry", self.parameters.registry],
            environment={"MLFLOW_TRACKING_URI": self.parameters.tracking_uri},
            isolated=False,
        )

    def rows(self, preflight: ProcessingStep) -> ProcessingStep:
        """BatchRows: the rows, in a snapshot of this execution."""
        return self._step(
            "BatchRows",
            role="broker",
            module="sashiko_packs.batch.steps.rows",
            config=("contract", "batch"),
            inputs={"plan": output_uri(preflight, "plan")},
            outputs={
                "rows": self.jobs.execution_uri("BatchRows", "rows", prefix=self._places.rows),
                "manifest": self.jobs.execution_uri("BatchRows", "manifest"),
            },
            own=["--lake-uri", self.parameters.lake_uri, "--max-rows", str(self._jobs.max_rows)],
            isolated=False,
        )

    def score(self, preflight: ProcessingStep, rows: ProcessingStep) -> ProcessingStep:
        """ScoreRows: a part of the answers by each instance, where no reader sees them yet."""
        execution = ExecutionVariables.PIPELINE_EXECUTION_ID
        return self._step(
            "ScoreRows",
            role=JOBS_ROLE,
            module="sashiko_packs.batch.steps.score",
            inputs={
                "plan": output_uri(preflight, "plan"),
                "artifact": output_uri(preflight, "artifact"),
                "rows": output_uri(rows, "rows"),
            },
            outputs={"answers": join_uri(self._places.answers, "runs", execution)},
            job=self._jobs.job,
            instances=self._jobs.job.instance_count,
        )

    def publish(
        self,
        preflight: ProcessingStep,
        rows: ProcessingStep,
        score: ProcessingStep,
        *,
        after: ProcessingStep | None,
    ) -> ProcessingStep:
        """PublishAnswers: the batch as a partition of its table, once `after` has succeeded."""
        contract = sha256_file(self.jobs.contract_file)[:16]
        parameters = self.parameters
        step = self._step(
            "PublishAnswers",
            role=JOBS_ROLE,
            module="sashiko_packs.batch.steps.publish",
            config=("contract", "batch"),
            inputs={
                "plan": output_uri(preflight, "plan"),
                "manifest": output_uri(rows, "manifest"),
                "answers": output_uri(score, "answers"),
            },
            outputs={
                "published": join_uri(
                    self._places.published, contract, parameters.as_of, parameters.window_start,
                    parameters.window_end, parameters.version,
                )
            },
            own=[
                "--answers-uri", parameters.answers_uri, "--location", output_uri(score, "answers"),
            ],
            isolated=False,
        )  # fmt: skip
        if after:
            step.add_depends_on([after])
        return step

    def capture(
        self, preflight: ProcessingStep, rows: ProcessingStep, score: ProcessingStep
    ) -> ProcessingStep | None:
        """CaptureAnswers: what monitoring reads of the answers; None if it reads nothing."""
        if not self._jobs.monitored:
            return None
        group = model_package_group_name(self.jobs.settings, self.jobs.recipe.model_package_group)
        # As an endpoint's data: <endpoint>/version=<n>/<endpoint>/<variant>; of each run one.
        execution = ExecutionVariables.PIPELINE_EXECUTION_ID
        place = [
            f"{self._places.captures}/version=", self.parameters.version,
            f"/{group}/{FOLDER}-", execution,
        ]  # fmt: skip
        return self._step(
            "CaptureAnswers",
            role=JOBS_ROLE,
            module="sashiko_packs.batch.steps.capture",
            inputs={
                "plan": output_uri(preflight, "plan"),
                "rows": output_uri(rows, "rows"),
                "answers": output_uri(score, "answers"),
            },
            outputs={"captures": Join(on="", values=place)},
            own=["--percent", str(self._jobs.monitored)],
        )

    def pipeline(self, *, ends: Sequence[ProcessingStep]) -> Pipeline:
        """Returns the pipeline of all steps; no other step has to wait for those in `ends`.

        Raises:
            InputError: if its jobs may cost more than `batch.max_usd`.
        """
        settings, parameters = self.jobs.settings, list(vars(self.parameters).values())
        name = batch_pipeline_name(settings, self.jobs.recipe.name)
        pipeline = self.jobs.pipeline(name=name, parameters=parameters, ends=ends)
        if settings.tier != "local":
            check_cost(settings, self._jobs, parse_definition(json.loads(pipeline.definition())))
        return pipeline

    @property
    def _jobs(self) -> BatchJobs:
        return self.jobs.settings.section(BatchJobs)

    @property
    def _places(self) -> BatchPlaces:
        contract = self._contract
        table = self.jobs.recipe.section(BatchSection).table or contract.table
        return batch_places(self.jobs.settings, self.jobs.recipe, table=table)

    @property
    def _contract(self) -> Contract:
        return load_contract(self.jobs.contract_file)

    def _step(
        self,
        name: str,
        *,
        own: Sequence[Uri] = (),
        config: Sequence[str] = ("contract",),
        environment: dict[str, Uri] | None = None,
        **options: Any,
    ) -> ProcessingStep:
        """Creates a step that is not cached: each execution has files of its own."""
        parameters = self.parameters
        return self.jobs.processing(
            name,
            cached=False,
            config=config,
            arguments=[
                "--as-of", parameters.as_of,
                "--start", parameters.window_start,
                "--end", parameters.window_end,
                "--version", parameters.version,
                "--now", parameters.now,
                "--run", ExecutionVariables.PIPELINE_EXECUTION_ID,
                *own,
            ],
            # As for a snapshot: some steps call AWS.
            environment={"AWS_REGION": self.jobs.settings.region, **(environment or {})},
            **options,
        )  # fmt: skip
