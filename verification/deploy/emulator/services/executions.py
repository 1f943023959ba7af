"""Executions of pipelines: moto's have no steps, know no order, and select none.

No job runs: each step succeeds at once, in the definition's order. A description such as
`emulator: ModelGate fails: the reason` makes one fail, and nothing starts that waits for it.

Of a selective execution it refuses what SageMaker is documented to refuse: a step that is not
there, steps that are not connected, a step left out between two others, no source where one is
needed, a source that runs or was stopped ("Selective execution of pipeline steps", Amazon SageMaker
AI Developer Guide; `SelectiveExecutionConfig`, SageMaker API Reference; the first message is of
aws/sagemaker-python-sdk#4444). Whether SageMaker also asks for the success of a step that is waited
for and not read is not documented: it is refused here.
"""

import json
import re
import time
from collections.abc import Callable, Mapping
from typing import Any

from .json_api import Handler, ServiceError

Record = dict[str, Any]
_FAILS = re.compile(r"emulator: (\S+) fails: (.*)")
_READS = re.compile(r'"Steps\.([A-Za-z0-9_-]+)\.')


class _Plan:
    """The steps of a definition, and which wait for which."""

    def __init__(self, definition: str) -> None:
        steps = json.loads(definition)["Steps"]
        self.names = [step["Name"] for step in steps]
        self._needs = {
            step["Name"]: {
                *step.get("DependsOn", ()), *_READS.findall(json.dumps(step.get("Arguments", {})))
            }
            for step in steps
        }  # fmt: skip

    def needs(self, names: set[str]) -> set[str]:
        """Returns what steps wait for, directly or not."""
        reached: set[str] = set()
        left = set(names)
        while left:
            left = set().union(*(self._needs[name] for name in left)) - reached
            reached |= left
        return reached

    def problem(self, names: set[str]) -> str:
        """Returns why these steps cannot be selected; empty if they can."""
        if unknown := names.difference(self.names):
            return f"SelectedSteps: the pipeline has no steps {sorted(unknown)}"
        piece = {min(names)}
        while more := {
            name
            for name in names - piece
            if self._needs[name] & piece or any(name in self._needs[other] for other in piece)
        }:
            piece |= more
        if piece != names:
            return f"SelectedSteps: {sorted(piece)} are not connected with {sorted(names - piece)}"
        between = {name for name in self.needs(names) - names if self.needs({name}) & names}
        return f"SelectedSteps: {sorted(between)} lie between selected steps" if between else ""

    def run(self, selection: set[str], failing: str, reason: str) -> Mapping[str, Record]:
        """Returns the steps that start, with their status."""
        steps: dict[str, Record] = {}
        for name in self.names:
            awaited = self._needs[name] & selection
            if name in selection and all(
                steps.get(other, {}).get("StepStatus") == "Succeeded" for other in awaited
            ):
                status = {"StepStatus": "Failed", "FailureReason": reason}
                steps[name] = status if name == failing else {"StepStatus": "Succeeded"}
        return steps


class Executions:
    """Starts executions in moto's pipelines, and lists them and their steps."""

    def __init__(self, registry: Any) -> None:
        self._registry = registry
        self._steps: dict[str, Mapping[str, Record]] = {}  # ARN -> step -> record
        self._configs: dict[str, Record] = {}
        self._started: dict[tuple[str, str], str] = {}  # pipeline and token -> ARN
        self.operations: dict[str, Handler] = {
            "StartPipelineExecution": self._start,
            "ListPipelineExecutionSteps": self._list_steps,
            "DescribePipelineExecution": self._describe,
            "ListPipelineExecutions": self._list,
        }

    def _start(self, request: Record) -> Record:
        pipelines = self._registry.pipelines
        name = request["PipelineName"].rpartition("/")[2]
        if name not in pipelines:
            raise ServiceError("ResourceNotFound", f"Pipeline {name} does not exist")
        token = name, request["ClientRequestToken"]
        if token in self._started:
            return {"PipelineExecutionArn": self._started[token]}
        plan = _Plan(pipelines[name].pipeline_definition)
        config = request.get("SelectiveExecutionConfig", {})
        selection = {item["StepName"] for item in config.get("SelectedSteps", ())}
        reused = self._reused(plan, selection, config, name) if selection else {}
        arn: str = self._registry.start_pipeline_execution(
            name,
            *(
                request.get(f"Pipeline{key}")
                for key in ("ExecutionDisplayName", "Parameters", "ExecutionDescription")
            ),
            request.get("ParallelismConfiguration"),
            request["ClientRequestToken"],
        )["PipelineExecutionArn"]
        fails = _FAILS.fullmatch(request.get("PipelineExecutionDescription") or "")
        failing, reason = fails.groups() if fails else ("", "")
        started = plan.run(selection or set(plan.names), failing, reason)
        self._started[token] = arn
        self._steps[arn] = {**reused, **started}
        self._configs[arn] = config
        if failing in started:
            execution = pipelines[name].pipeline_executions[arn]
            execution.pipeline_execution_status = "Failed"
        return {"PipelineExecutionArn": arn}

    def _reused(
        self, plan: _Plan, selection: set[str], config: Record, pipeline: str
    ) -> Mapping[str, Record]:
        if problem := plan.problem(selection):
            raise ServiceError("ValidationException", problem)
        needs, source = plan.needs(selection) - selection, config.get("SourcePipelineExecutionArn")
        if not needs:
            return {}
        if source is None:
            raise ServiceError(
                "ValidationException",
                f"Invalid SourcePipelineExecutionArn: null. The selected steps {sorted(selection)} "
                f"have dependencies on {sorted(needs)}",
            )
        execution = self._registry.pipelines[pipeline].pipeline_executions.get(source)
        if execution is None:
            raise ServiceError("ResourceNotFound", f"{source} is no execution of {pipeline}")
        if execution.pipeline_execution_status not in ("Succeeded", "Failed"):
            raise ServiceError(
                "ValidationException", f"{source} is {execution.pipeline_execution_status}"
            )
        states = self._steps[source]
        for name in sorted(needs):
            if states.get(name, {}).get("StepStatus") != "Succeeded":
                raise ServiceError("ValidationException", f"step {name} of {source} has no result")
        origin = {"SelectiveExecutionResult": {"SourcePipelineExecutionArn": source}}
        return {name: {"StepStatus": "Succeeded", **origin} for name in plan.names if name in needs}

    def _list_steps(self, request: Record) -> Record:
        now = time.time()
        steps = self._steps[self._arn(request)]
        listed = [
            {"StepName": name, "StartTime": now, "EndTime": now, "Metadata": {}, **record}
            for name, record in steps.items()
        ]
        ascending = request.get("SortOrder") == "Ascending"
        return {"PipelineExecutionSteps": listed if ascending else listed[::-1]}

    def _describe(self, request: Record) -> Record:
        arn = self._arn(request)
        answer = _plain(self._registry.describe_pipeline_execution(arn))
        config = self._configs[arn]
        return answer | ({"SelectiveExecutionConfig": config} if config else {})

    def _arn(self, request: Record) -> str:
        arn: str = request["PipelineExecutionArn"]
        if arn not in self._steps:
            raise ServiceError("ResourceNotFound", f"{arn} does not exist")
        return arn

    def _list(self, request: Record) -> Record:
        name = request["PipelineName"]
        if name not in self._registry.pipelines:
            raise ServiceError("ResourceNotFound", f"Pipeline {name} does not exist")
        listed = self._registry.list_pipeline_executions(name)["PipelineExecutionSummaries"]
        if request.get("SortOrder", "Descending") == "Descending":
            listed = listed[::-1]
        most = request.get("MaxResults", len(listed))
        return {"PipelineExecutionSummaries": [_plain(item) for item in listed[:most]]}


def _plain(record: Record) -> Record:
    """Returns a record with the times as numbers, and without what is None."""

    def number(value: Any) -> Any:
        stamp: Callable[[], float] | None = getattr(value, "timestamp", None)
        return stamp() if stamp else value

    return {key: number(value) for key, value in record.items() if value is not None}
