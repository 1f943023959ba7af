"""Executions in an account: as records, followed to their end, with their logs."""

import io
import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from sashiko.account.account import BusyError
from sashiko.errors import InputError
from sashiko.evaluation.gates.closed_gate import GateClosedError
from sashiko.pipeline.cloud.executions import Execution, Executions, follow, job_lines
from sashiko.pipeline.runner.run_record import RunRecord, View
from tests.unit.account.fake_account import SETTINGS, Refusal, ScriptedAws
from tests.unit.pipeline.runner.tiny import Recorder

BEGAN = datetime(2026, 11, 25, 10, 0, tzinfo=UTC)
ARN = "arn:aws:sagemaker:us-east-1:111122223333:pipeline/sashiko-dev-loans/execution/abc123def456"
JOBS = "arn:aws:sagemaker:us-east-1:111122223333"
DEFINITION = {
    "Steps": [
        {"Name": "Make", "Type": "Processing"},
        {"Name": "Gate", "Type": "Lambda", "FunctionArn": "arn", "DependsOn": ["Make"]},
        {"Name": "Train", "Type": "Training", "DependsOn": ["Gate"]},
        {"Name": "Register", "Type": "Processing", "DependsOn": ["Train"]},
    ]
}


def step(name: str, status: str, *, minutes: int | None = None, **more: Any) -> dict[str, Any]:
    """A step as SageMaker lists it; one that has ended took some minutes."""
    ended = {} if minutes is None else {"EndTime": BEGAN + timedelta(minutes=minutes)}
    return {"StepName": name, "StepStatus": status, "StartTime": BEGAN, **ended, **more}


def job(kind: str, name: str) -> dict[str, Any]:
    path = {"ProcessingJob": "processing-job", "TrainingJob": "training-job"}[kind]
    return {"Metadata": {kind: {"Arn": f"{JOBS}:{path}/{name}"}}}


MADE = step("Make", "Succeeded", minutes=2, **job("ProcessingJob", "pipelines-abc-Make-1"))
FUNCTION = {"Metadata": {"Lambda": {"Arn": "arn", "OutputParameters": []}}}
OPEN = step("Gate", "Succeeded", minutes=0, **FUNCTION)
TRAINS = step("Train", "Executing", **job("TrainingJob", "pipelines-abc-Train-1"))
TRAINED = step("Train", "Succeeded", minutes=9, **job("TrainingJob", "pipelines-abc-Train-1"))
REASON = str(GateClosedError(["model-quality: auc 0.61 below 0.7"]))
CLOSED = step("Gate", "Failed", minutes=0, FailureReason=f"ClientError: {REASON}", **FUNCTION)


class ScriptedExecution:
    """An execution that is one state further each time that it is described."""

    def __init__(
        self,
        *states: tuple[str, list[Mapping[str, Any]]] | Refusal,
        definition: Mapping[str, Any] = DEFINITION,
    ) -> None:
        self._states = list(states)
        self._steps: list[Mapping[str, Any]] = []
        self.aws = ScriptedAws(
            {
                "DescribePipelineExecution": self._describe,
                "ListPipelineExecutionSteps": lambda _: {"PipelineExecutionSteps": self._steps},
                "DescribePipelineDefinitionForExecution": {
                    "PipelineDefinition": json.dumps(definition)
                },
                "ListPipelineParametersForExecution": {
                    "PipelineParameters": [{"Name": "AsOf", "Value": "20261125T104500Z"}]
                },
            }
        )
        self.account = self.aws.account()
        self.execution = Execution(self.account, ARN, command="sashiko run --env dev")
        self.pauses: list[float] = []

    def _describe(self, _: Mapping[str, Any]) -> Any:
        state = self._states.pop(0) if len(self._states) > 1 else self._states[0]
        if isinstance(state, Refusal):
            return state
        status, steps = state
        self._steps = list(reversed(steps))  # SageMaker lists the newest first
        return {
            "PipelineExecutionArn": ARN,
            "PipelineExecutionStatus": status,
            "CreationTime": BEGAN,
            "LastModifiedTime": BEGAN + timedelta(minutes=12),
            **({"FailureReason": "Step failure"} if status == "Failed" else {}),
        }

    def follow(self, view: Any) -> RunRecord:
        return follow(self.execution, view=view, pause=self.pauses.append)


@pytest.fixture(autouse=True)
def _credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")


def states(record: RunRecord) -> dict[str, str]:
    return {step.name: step.status for step in record.steps}


def test_an_execution_is_the_record_that_a_local_run_leaves() -> None:
    record = ScriptedExecution(("Executing", [MADE, OPEN, TRAINS])).execution.record()
    assert (record.id, record.pipeline, record.status) == (
        "abc123def456", "sashiko-dev-loans", "running",
    )  # fmt: skip
    assert record.parameters == {"AsOf": "20261125T104500Z"}
    assert states(record) == {
        "Make": "succeeded", "Gate": "succeeded", "Train": "running", "Register": "waiting",
    }  # fmt: skip
    assert record.step("Make").seconds == 120
    assert record.step("Train").job == "pipelines-abc-Train-1"
    assert record.step("Gate").type == "Lambda"
    assert RunRecord.model_validate(record.model_dump()) == record


def test_a_cached_step_names_its_execution_and_a_closed_gate_its_reason() -> None:
    source = ARN.replace("abc123def456", "old")
    cached = step("Make", "Succeeded", CacheHitResult={"SourcePipelineExecutionArn": source})
    cached_step = ScriptedExecution(("Executing", [cached])).execution.record().step("Make")
    assert (cached_step.status, cached_step.cached_from) == ("cached", "old")

    stream = io.StringIO()
    scripted = ScriptedExecution(("Executing", [MADE]), ("Failed", [MADE, CLOSED]))
    assert scripted.follow(View(stream)).exit_code == 3
    assert "blocked by step Gate: model-quality: auc 0.61 below 0.7" in stream.getvalue()


@pytest.mark.parametrize(("status", "steps", "expected"), [
    ("Succeeded", [MADE, OPEN, TRAINED], ("registered", 0, "")),
    ("Failed", [MADE, CLOSED], ("blocked", 3, "step Gate: model-quality: auc 0.61 below 0.7")),
    ("Failed", [MADE, step("Gate", "Failed", minutes=1, FailureReason="AccessDenied", **FUNCTION)],
     ("failed", 1, "step Gate: AccessDenied")),
    ("Failed", [step("Make", "Failed", minutes=1, FailureReason="ClientError: no such image")],
     ("failed", 1, "step Make: ClientError: no such image")),
    ("Failed", [step("Make", "Failed", minutes=1, FailureReason="AlgorithmError"), CLOSED],
     ("failed", 1, "step Make: AlgorithmError")),
    ("Failed", [], ("failed", 1, "Step failure")),
    ("Stopped", [step("Make", "Stopped", minutes=1)], ("interrupted", 130, "")),
    ("CompletedWithFailures", [MADE], ("failed", 1, "")),
])  # fmt: skip
def test_how_it_ended_is_the_exit_status(status: str, steps: Any, expected: Any) -> None:
    record = ScriptedExecution((status, steps)).execution.record()
    assert (record.status, record.exit_code, record.reason) == expected
    assert record.seconds == 720
    assert "waiting" not in states(record).values()


def test_following_shows_each_change_once_and_ends_with_the_execution() -> None:
    scripted = ScriptedExecution(
        ("Executing", [MADE]),
        ("Executing", [MADE]),
        ("Executing", [MADE, OPEN, TRAINS]),
        ("Succeeded", [MADE, OPEN, TRAINED, step("Register", "Succeeded", minutes=1)]),
    )
    stream = io.StringIO()
    record = scripted.follow(View(stream))
    assert record.status == "registered"
    assert stream.getvalue().splitlines() == [
        "Make: succeeded in 120.0 s", "Gate: succeeded", "Train: running",
        "Train: succeeded in 540.0 s", "Register: succeeded in 60.0 s",
    ]  # fmt: skip
    assert scripted.pauses == [5.0, 7.5, 5.0]  # less often where nothing happens


@pytest.mark.parametrize(
    "refusal", [Refusal("ThrottlingException"), Refusal("ServiceUnavailable", status=503)]
)
def test_requests_to_a_busy_service_are_repeated_later(refusal: Refusal) -> None:
    scripted = ScriptedExecution(
        ("Executing", [MADE]), refusal, refusal, refusal, ("Succeeded", [MADE, OPEN, TRAINED])
    )
    view = Recorder()
    assert scripted.follow(view).status == "registered"
    assert len([note for note in view.notes if "trying again" in note]) == 1
    assert scripted.pauses == sorted(scripted.pauses)
    assert len(scripted.pauses) == 4


def test_a_service_that_refuses_or_never_answers_ends_the_following() -> None:
    with pytest.raises(InputError, match="use the role sashiko-dev-data-scientist"):
        ScriptedExecution(Refusal("AccessDeniedException")).follow(Recorder())

    scripted = ScriptedExecution(Refusal("ThrottlingException"))
    with pytest.raises(BusyError, match="ThrottlingException"):
        scripted.follow(Recorder())
    assert 300 < sum(scripted.pauses) < 1200
    assert max(scripted.pauses) == 60
    aws = ScriptedAws({"ListPipelineExecutions": Refusal("ResourceNotFound")})
    with pytest.raises(InputError, match="no pipeline sashiko-dev-loans in dev: make deploy"):
        _executions(aws).newest(3)


def test_a_log_is_read_page_by_page_to_its_end() -> None:
    pages = {
        None: {"events": [{"message": "one"}, {"message": "two"}], "nextForwardToken": "f/1"},
        "f/1": {"events": [{"message": "three"}], "nextForwardToken": "f/2"},
        "f/2": {"events": [], "nextForwardToken": "f/2"},
    }
    scripted = ScriptedExecution(("Executing", []))
    scripted.aws.answers |= {
        "DescribeLogStreams": {"logStreams": [{"logStreamName": "pipelines-abc-Train-1/algo-1"}]},
        "GetLogEvents": lambda request: pages[request.get("nextToken")],
    }
    lines = [*job_lines(scripted.account, "Training", "pipelines-abc-Train-1")]
    assert lines == ["one", "two", "three"]
    (request,) = scripted.aws.requests("DescribeLogStreams")
    assert request["logGroupName"] == "/aws/sagemaker/TrainingJobs"
    assert request["logStreamNamePrefix"] == "pipelines-abc-Train-1/"


def _listed(*ids: str) -> ScriptedAws:
    items = [
        {"PipelineExecutionArn": ARN.replace("abc123def456", id_), "StartTime": BEGAN}
        for id_ in ids
    ]
    return ScriptedAws({"ListPipelineExecutions": {"PipelineExecutionSummaries": items}})


def _executions(aws: ScriptedAws) -> Executions:
    command = "sashiko run --env dev"
    return Executions(SETTINGS, "loans", account=aws.account(), command=command)


def test_the_beginning_of_its_id_selects_an_execution() -> None:
    aws = _listed("new", "older", "oldest")
    assert _executions(aws).find("old").id == "older"
    assert _executions(aws).find(None).id == "new"
    request = aws.requests("ListPipelineExecutions")[0]
    assert (request["PipelineName"], request["SortOrder"]) == ("sashiko-dev-loans", "Descending")
    with pytest.raises(InputError, match=r"no execution none of .*the newest are new, older"):
        _executions(aws).find("none")
    with pytest.raises(InputError, match=r"no execution of .* yet: sashiko run --env dev"):
        _executions(_listed()).find(None)
