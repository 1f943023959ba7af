"""Executions of a pipeline in an account, as the records that local runs have too."""

import json
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from datetime import UTC, datetime
from functools import cached_property, partial
from typing import Any

from sashiko.account.account import Account, BusyError
from sashiko.account.names import Role, etl_name, pipeline_name
from sashiko.errors import InputError
from sashiko.evaluation.gates.closed_gate import closing_summary
from sashiko.pipeline.definition.definition_records import Definition, parse_definition
from sashiko.pipeline.runner.run_record import (
    REGISTER,
    RunRecord,
    RunStatus,
    StepRecord,
    StepStatus,
    View,
    now,
    stamp,
)
from sashiko.settings.environment import Settings

STARTED_BY: Role = "data-scientist"
# The documented code, and the one that some of SageMaker's operations return instead.
NOT_FOUND = ("ResourceNotFound", "ValidationException")
_SEARCH_LIMIT = 100


def newest_load(
    account: Account, settings: Settings, table: str, *, role: Role | None = None
) -> str | None:
    """Returns the `--as-of` of the last successful load of a table; None if there is none yet.

    Raises:
        InputError: if the caller lacks the permission.
    """
    absent, name = ("EntityNotFoundException",), etl_name(settings, table)
    runs = account.pages("glue", "get_job_runs", "JobRuns", absent=absent, role=role, JobName=name)
    loads = [
        (run["StartedOn"], str(as_of))
        for run in runs
        if run["JobRunState"] == "SUCCEEDED" and (as_of := run.get("Arguments", {}).get("--as-of"))
    ]
    return max(loads, default=(None, None))[1]


class Execution:
    """One execution in SageMaker."""

    def __init__(self, account: Account, arn: str, *, command: str) -> None:
        """Makes no call; `command` is the command line that starts another one, for the record."""
        self._account = account
        self._command = command
        self.arn = arn

    @property
    def id(self) -> str:
        """The last part of its ARN."""
        return self.arn.rpartition("/")[2]

    def record(self) -> RunRecord:
        """Reads the current state from SageMaker.

        Raises:
            BusyError: if the same call may succeed later.
            InputError: if there is no such execution, or the caller lacks the permission.
        """
        response = self._read("describe_pipeline_execution")
        status = _RUN_STATUS.get(response["PipelineExecutionStatus"], "failed")
        selective = response.get("SelectiveExecutionConfig") or {}
        selected = {item["StepName"] for item in selective.get("SelectedSteps", ())}
        steps = self._steps(running=status == "running", selected=selected)
        if status == "registered" and selected and REGISTER not in selected:
            status = "succeeded"
        if status == "failed" and not any(step.status == "failed" for step in steps):
            # A closed gate fails the execution; a failed job takes precedence over it.
            status = "blocked" if any(step.status == "blocked" for step in steps) else status
        culprits = [step for step in steps if step.status == status and step.reason]
        reason = f"step {culprits[0].name}: {culprits[0].reason}" if culprits else ""
        start = response["CreationTime"]
        end = now() if status == "running" else response["LastModifiedTime"]
        return RunRecord(
            id=self.id,
            pipeline=self.arn.split("/")[1],
            status=status,
            start=utc(start),
            end=None if status == "running" else utc(end),
            seconds=round((end - start).total_seconds(), 3),
            source=selective.get("SourcePipelineExecutionArn", "").rpartition("/")[2],
            command=self._command,
            parameters=self._parameters,
            steps=steps,
            reason=reason or response.get("FailureReason", ""),
        )

    def stop(self) -> None:
        """Asks SageMaker to stop it: no further step starts, and running jobs are stopped."""
        self._read("stop_pipeline_execution")

    def _read(self, operation: str) -> Mapping[str, Any]:
        response = self._account.read(
            "sagemaker", operation, role=STARTED_BY, PipelineExecutionArn=self.arn
        )
        return response or {}

    def _pages(self, operation: str, member: str) -> Iterator[Mapping[str, Any]]:
        return self._account.pages(
            "sagemaker", operation, member, role=STARTED_BY, PipelineExecutionArn=self.arn
        )

    @cached_property
    def _parameters(self) -> dict[str, str | int | float | bool]:
        parameters = self._pages("list_pipeline_parameters_for_execution", "PipelineParameters")
        return {item["Name"]: item["Value"] for item in parameters}

    @cached_property
    def definition(self) -> Definition:
        """The definition that it was started with; empty if this engine cannot read it."""
        text = self._read("describe_pipeline_definition_for_execution")["PipelineDefinition"]
        try:
            return parse_definition(json.loads(text))
        except (InputError, ValueError):  # of another version: use SageMaker's list alone
            return Definition(parameters=(), steps=())

    def _steps(self, *, running: bool, selected: Collection[str]) -> tuple[StepRecord, ...]:
        """Reads the steps; of a selective execution, `selected` are those that run."""
        pages = self._pages("list_pipeline_execution_steps", "PipelineExecutionSteps")
        # The newest come first; retries of a step stay one step.
        types = {step.name: step.type for step in self.definition.steps}
        records = {item["StepName"]: step_record(item, types) for item in reversed(list(pages))}
        waiting = {name for name in types if running and (not selected or name in selected)}
        unlisted = {
            name: StepRecord(
                name=name, type=kind, status="waiting" if name in waiting else "not_run"
            )
            for name, kind in types.items()
        }
        return tuple((unlisted | records).values())  # in the definition's order, then others


class Executions:
    """The executions of a recipe's pipeline."""

    def __init__(self, settings: Settings, recipe: str, *, account: Account, command: str) -> None:
        """Makes no call; `command` is the command line that starts another one, for the records."""
        self.pipeline = pipeline_name(settings, recipe)
        self._environment = settings.environment
        self._account = account
        self._command = command

    def newest(self, count: int) -> list[Execution]:
        """Lists the newest, first the one that was started last.

        Raises:
            InputError: if there is no such pipeline, or the caller lacks the permission.
        """
        response = self._account.read(
            "sagemaker",
            "list_pipeline_executions",
            absent=NOT_FOUND,
            role=STARTED_BY,
            PipelineName=self.pipeline,
            SortBy="CreationTime",
            SortOrder="Descending",
            MaxResults=count,
        )
        if response is None:
            raise InputError(
                f"there is no pipeline {self.pipeline} in {self._environment}: "
                f"make deploy ENV={self._environment}"
            )
        return [
            Execution(self._account, item["PipelineExecutionArn"], command=self._command)
            for item in response["PipelineExecutionSummaries"]
        ]

    def find(self, run: str | None) -> Execution:
        """Finds one of the newest hundred by its id or the id's beginning; the newest if None.

        Raises:
            InputError: if there is none.
        """
        executions = self.newest(_SEARCH_LIMIT)
        for execution in executions:
            if run is None or execution.id.startswith(run):
                return execution
        if not executions:
            raise InputError(f"no execution of {self.pipeline} yet: {self._command}")
        known = ", ".join(execution.id for execution in executions[:5])
        raise InputError(f"no execution {run} of {self.pipeline}; the newest are {known}")


_RUN_STATUS: Mapping[str, RunStatus] = {
    "Executing": "running",
    "Stopping": "running",
    "Stopped": "interrupted",
    "Succeeded": "registered",
}
_STEP_STATUS: Mapping[str, StepStatus] = {
    "Starting": "running",
    "Executing": "running",
    "Stopping": "running",
    "Stopped": "interrupted",
    "Failed": "failed",
    "Succeeded": "succeeded",
}
_KINDS = {"ProcessingJob": "Processing", "TrainingJob": "Training"}


def step_record(item: Mapping[str, Any], types: Mapping[str, str]) -> StepRecord:
    """Returns the record of a step.

    `item` is as ListPipelineExecutionSteps has it. `types` has step -> its type in the definition:
    SageMaker tells none of a cached step.
    """
    metadata = item.get("Metadata", {})
    kind = next((key for key in metadata if metadata[key] is not None), "")
    status = _STEP_STATUS[item["StepStatus"]]
    # A selective execution lists the steps whose results it reuses ("SelectiveExecutionResult" of
    # PipelineExecutionStep, SageMaker API Reference).
    results = ("CacheHitResult", "SelectiveExecutionResult")
    earlier = (item.get(key, {}).get("SourcePipelineExecutionArn", "") for key in results)
    cached = next(filter(None, earlier), "")
    reason = item.get("FailureReason", "")
    type_ = types.get(item["StepName"]) or _KINDS.get(kind, kind)
    closing = closing_summary(reason) if type_ == "Lambda" else None
    if status == "failed" and closing is not None:
        status = "blocked"
    start, end = item.get("StartTime"), item.get("EndTime")
    return StepRecord(
        name=item["StepName"],
        type=type_,
        status="cached" if cached else status,
        start=utc(start) if start else None,
        end=utc(end) if end else None,
        seconds=round((end - start).total_seconds(), 3) if start and end else None,
        job=metadata[kind]["Arn"].rpartition("/")[2] if kind in _KINDS else "",
        cached_from=cached.rpartition("/")[2],
        reason=reason if closing is None else closing,
    )


def utc(time: datetime) -> str:
    """Formats a time of AWS as records have it."""
    return stamp(time.astimezone(UTC))


_GROUPS = {"Processing": "/aws/sagemaker/ProcessingJobs", "Training": "/aws/sagemaker/TrainingJobs"}


def job_lines(account: Account, kind: str, job: str) -> Iterator[str]:
    """Yields all that a job of SageMaker's wrote, container by container.

    `kind` is `Processing` or `Training`.

    Raises:
        InputError: if there is none (yet), or the caller may not read it.
    """
    absent = ("ResourceNotFoundException",)
    call: Any = partial(account.read, "logs", role=STARTED_BY, logGroupName=_GROUPS[kind])
    response = call("describe_log_streams", absent=absent, logStreamNamePrefix=f"{job}/") or {}
    streams = [item["logStreamName"] for item in response.get("logStreams", ())]
    if not streams:
        raise InputError(f"job {job} has written nothing to {_GROUPS[kind]} (yet)")
    for stream in streams:
        token, position = "", {"logStreamName": stream}
        while True:
            page = call("get_log_events", startFromHead=True, **position)
            yield from (event["message"] for event in page["events"])
            if page["nextForwardToken"] == token:  # the request's: this is the end
                break
            token = position["nextToken"] = page["nextForwardToken"]


_SECONDS = 5.0
_MOST_SECONDS = 60.0
_SLOWER = 1.5
_PATIENCE = 15  # consecutive calls without an answer: about ten minutes


def follow(
    execution: Execution, *, view: View, pause: Callable[[float], None] = time.sleep
) -> RunRecord:
    """Shows the progress of an execution until it ends.

    It polls every five seconds, and less often while nothing changes or AWS throttles.

    Raises:
        InputError: if AWS refuses, or does not answer for minutes.
    """
    previous: dict[str, StepRecord] = {}
    seconds, unanswered = _SECONDS, 0
    while True:
        try:
            record = execution.record()
        except BusyError as error:
            unanswered += 1
            if unanswered == _PATIENCE:
                raise
            if unanswered == 1:
                view.note(f"no answer yet, trying again: {error}")
            changed = False
        else:
            unanswered = 0
            changed = {step.name: step for step in record.steps} != previous
            for step in record.steps:
                if previous.get(step.name) != step:
                    previous[step.name] = step
                    view.step(step)
            if record.status == "blocked":
                view.note(f"blocked by {record.reason}")
            for step in record.steps if record.status != "running" else ():
                if step.status == "failed":
                    view.note(f"step {step.name} failed: {step.reason}")
            if record.status != "running":
                return record
        seconds = _SECONDS if changed else min(seconds * _SLOWER, _MOST_SECONDS)
        pause(seconds)
