"""`--from` in an account: which steps run, and whose results the others are."""

import json
from collections.abc import Mapping
from copy import deepcopy
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from sashiko.errors import InputError
from sashiko.evaluation.gates.closed_gate import GateClosedError
from sashiko.pipeline.cloud.executions import Execution, Executions
from sashiko.pipeline.cloud.selective_execution import (
    SourceSearch,
    select_steps,
    selective_request,
)
from sashiko.pipeline.definition.definition_records import parse_definition
from tests.unit.account.fake_account import SETTINGS, ScriptedAws

PLACE = "arn:aws:sagemaker:us-east-1:111122223333"
PIPELINE = "sashiko-dev-complaints"
VALUE: dict[str, Any] = json.loads(Path("tests/golden/complaints.definition.dev.json").read_text())
DEFINITION = parse_definition(VALUE)
STEPS = [step["Name"] for step in VALUE["Steps"]]
EVALUATE, BIAS = "Compile-Score-Evaluate", "PreBias-BiasInput-PostBias-JudgeBias"
AS_OF = "20261125T104500Z"
BEGAN = datetime(2026, 11, 25, 10, 0, tzinfo=UTC)
CLOSED = str(GateClosedError(["bias: DI 0.61 below 0.8"]))


def execution(id_: str, status: str = "Succeeded", **failed: str) -> dict[str, Any]:
    """An execution with all steps done but the failed ones, and none after the first of these."""
    ended = STEPS.index(next(iter(failed))) if failed else len(STEPS)
    steps = [{"StepName": name, "StepStatus": "Succeeded"} for name in STEPS[:ended]]
    for name, reason in failed.items():
        steps.append({"StepName": name, "StepStatus": "Failed", "FailureReason": reason})
    return {
        "arn": f"{PLACE}:pipeline/{PIPELINE}/execution/{id_}",
        "status": status,
        "steps": [{"StartTime": BEGAN, "EndTime": BEGAN, **step} for step in steps],
        "parameters": {"AsOf": AS_OF},
        "definition": VALUE,
        "selective": {},
    }


class Cloud:
    """An account with these executions, the newest first."""

    def __init__(self, *executions: dict[str, Any], definition: Any = DEFINITION) -> None:
        self.executions = {item["arn"]: item for item in executions}
        self.aws = ScriptedAws({
            "ListPipelineExecutions": {
                "PipelineExecutionSummaries": [{"PipelineExecutionArn": a} for a in self.executions]
            },
            "DescribePipelineExecution": self._describe,
            "ListPipelineExecutionSteps": lambda request: {
                "PipelineExecutionSteps": self._of(request)["steps"][::-1]
            },
            "DescribePipelineDefinitionForExecution": lambda request: {
                "PipelineDefinition": json.dumps(self._of(request)["definition"])
            },
            "ListPipelineParametersForExecution": lambda request: {
                "PipelineParameters": [
                    {"Name": key, "Value": value}
                    for key, value in self._of(request)["parameters"].items()
                ]
            },
        })  # fmt: skip
        self.account = self.aws.account()
        self.search = SourceSearch(
            executions=Executions(
                SETTINGS, "complaints", account=self.account, command="sashiko run"
            ),
            definition=definition,
        )

    def _of(self, request: Mapping[str, Any]) -> dict[str, Any]:
        return self.executions[request["PipelineExecutionArn"]]

    def _describe(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        item = self._of(request)
        return {
            "PipelineExecutionArn": item["arn"],
            "PipelineExecutionStatus": item["status"],
            "CreationTime": BEGAN,
            "LastModifiedTime": BEGAN,
            **item["selective"],
        }

    def request(
        self, step: str, *, source: str | None = None, as_of: str | None = None
    ) -> tuple[Mapping[str, Any], str | None]:
        return selective_request(self.search, step, source=source, as_of=as_of)

    def source(self, step: str, *, source: str | None = None, as_of: str | None = None) -> str:
        config = self.request(step, source=source, as_of=as_of)[0]["SelectiveExecutionConfig"]
        return str(config["SourcePipelineExecutionArn"]).rpartition("/")[2]


@pytest.fixture(autouse=True)
def _credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")


@pytest.mark.parametrize(("name", "steps"), [
    ("Register", {"Register"}),
    ("Track", {"Track"}),
    # DeviceCheck always runs, where no other step keeps its last result.
    ("ModelGate", {"ModelGate", "DeviceCheck", "DeviceGate", "Register"}),
    ("Explain", {"Explain", "Track", "ModelGate", "DeviceCheck", "DeviceGate", "Register"}),
    # And an evaluation compares with the version that is in use now.
    ("Train", {
        "Train", "ResolveChampion", EVALUATE, "Explain", BIAS, "DeviceCheck", "Track", "ModelGate",
        "DeviceGate", "Register",
    }),
    ("Snapshot", set(STEPS)),
])  # fmt: skip
def test_a_step_runs_with_all_that_wait_for_it_and_what_always_runs(name, steps) -> None:
    selection = select_steps(DEFINITION, name)
    assert set(selection.steps) == steps
    assert not steps & set(selection.upstream)


def test_a_part_names_its_job_which_starts_again_from_its_first_part(capsys) -> None:
    assert select_steps(DEFINITION, "Evaluate") == select_steps(DEFINITION, EVALUATE)
    message = f"Evaluate is a part of {EVALUATE}, which starts again from Compile\n"
    assert capsys.readouterr().err == message
    with pytest.raises(InputError, match=r"--from Evalute: .* it has: .*Register.* Evaluate"):
        select_steps(DEFINITION, "Evalute")


def test_the_newest_execution_with_the_results_is_reused_with_its_data(capsys) -> None:
    cloud = Cloud(
        execution("running1", "Executing", Train="running"),
        execution("stopped1", "Stopped", Explain=""),
        execution("failed01", "Failed", Train="ClientError: no capacity"),
        execution("failed02", "Failed", Register="ClientError: KMS"),
        execution("whole001"),
    )
    request, version = cloud.request("Evaluate")
    config = request["SelectiveExecutionConfig"]
    assert config["SourcePipelineExecutionArn"].endswith("/failed02")
    assert version == AS_OF
    assert "Train" not in {item["StepName"] for item in config["SelectedSteps"]}
    progress = capsys.readouterr().err
    assert "passed over execution running1: it is running" in progress
    assert "passed over execution stopped1: it was stopped" in progress
    assert "execution failed01: step Train is failed: ClientError: no capacity" in progress
    assert "results of execution failed02: Snapshot, " in progress


def test_nothing_is_reused_where_every_step_runs_again() -> None:
    assert Cloud().request("Snapshot", as_of=AS_OF) == ({}, AS_OF)


def test_a_blocked_execution_is_no_source_for_what_its_gate_guards(capsys) -> None:
    blocked = execution("blocked1", "Failed", ModelGate=f"ClientError: {CLOSED}")
    cloud = Cloud(blocked, execution("whole001"))
    message = "blocked1 cannot be the source: step ModelGate is blocked: bias: DI 0.61 below 0.8"
    with pytest.raises(InputError, match=message):
        cloud.request("Register")
    with pytest.raises(InputError, match=message):
        cloud.request("Register", source="blocked1")
    assert cloud.source("Register", source="whole") == "whole001"
    assert cloud.source("Evaluate") == "blocked1"  # the gate judges again


def test_only_a_source_with_the_version_of_the_data_is_taken() -> None:
    older = execution("older001") | {"parameters": {"AsOf": "20250101T000000Z"}}
    cloud = Cloud(execution("newer001"), older)
    assert cloud.source("Train") == "newer001"
    assert cloud.source("Train", as_of="20250101T000000Z") == "older001"
    with pytest.raises(InputError, match=f"newer001: its data are of version {AS_OF}"):
        cloud.request("Train", as_of="20240101T000000Z")


def edited(step: str, **arguments: Any) -> Any:
    value = deepcopy(VALUE)
    item = next(item for item in value["Steps"] if item["Name"] == step)
    item["Arguments"] |= arguments
    return value


def test_a_step_that_has_changed_since_is_not_reused_and_one_after_it_may() -> None:
    other = edited("Train", HyperParameters={"epochs": "9"})
    cloud = Cloud(execution("before01"), definition=parse_definition(other))
    message = r"before01: step Train has changed since \(HyperParameters\); start from there"
    with pytest.raises(InputError, match=message):
        cloud.request("Evaluate")
    assert cloud.source("Train") == "before01"
    # A gate that did not exist has judged nothing.
    cloud = Cloud(execution("before01") | {"definition": edited("Train")}, definition=DEFINITION)
    del cloud.executions[f"{PLACE}:pipeline/{PIPELINE}/execution/before01"]["steps"][-2]
    with pytest.raises(InputError, match="step DeviceGate is not_run"):
        cloud.request("Register")


def test_a_lake_that_somebody_else_chose_is_a_change() -> None:
    elsewhere = execution("console1")
    elsewhere["parameters"] = {"AsOf": AS_OF, "LakeUri": "athena://other/other"}
    cloud = Cloud(elsewhere | {})
    with pytest.raises(InputError, match=r"step Snapshot has changed since \(AppSpecification\)"):
        cloud.request("Train")


def test_the_record_says_whose_results_it_has_and_what_does_not_run() -> None:
    source, item = execution("source01"), execution("later001")
    origin = {"SelectiveExecutionResult": {"SourcePipelineExecutionArn": source["arn"]}}
    item["steps"] = [
        step | origin for step in item["steps"] if step["StepName"] not in ("Track", "Register")
    ] + [step for step in item["steps"] if step["StepName"] == "Register"]
    config = {"SourcePipelineExecutionArn": source["arn"]}
    item["selective"] = {
        "SelectiveExecutionConfig": config | {"SelectedSteps": [{"StepName": "Register"}]}
    }
    cloud = Cloud(item, source)
    record = Execution(cloud.account, item["arn"], command="sashiko run").record()
    assert (record.status, record.source) == ("registered", "source01")
    train = record.step("Train")
    assert (train.status, train.cached_from) == ("cached", "source01")
    assert record.step("Register").status == "succeeded"
    assert record.step("Track").status == "not_run"
    # Its results are reused as those of a full one.
    assert cloud.source("Register") == "later001"
    item["selective"]["SelectiveExecutionConfig"]["SelectedSteps"] = [{"StepName": "Track"}]
    record = Execution(cloud.account, item["arn"], command="sashiko run").record()
    assert record.status == "succeeded"
