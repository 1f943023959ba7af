"""Each probe against answers that are made up: it holds, it differs, and it stays unknown."""

import re
from pathlib import Path
from typing import Any

import pytest

from sashiko_packs.operations.proofs.execution import Execution
from sashiko_packs.operations.proofs.probe import all_probes
from sashiko_packs.operations.proofs.record import Record, judge
from tests.packs.operations.proofs.world import DEV, EXECUTION, failure, place_of, world_of

PROBES = {probe.id: probe for probe in all_probes()}
WHOLE = {name: probe for name, probe in PROBES.items() if probe.steps}
DONE: dict[str, Any] = {"ProcessingJobStatus": "Completed"}
DENIED = failure("AccessDeniedException")


def state(name: str, reason: str = "") -> dict[str, Any]:
    return {"QueryExecution": {"Status": {"State": name, "StateChangeReason": reason}}}


def table(*values: str) -> dict[str, Any]:
    return {"ResultSet": {"Rows": [{"Data": [{"VarCharValue": value}]} for value in values]}}


def step(status: str, **more: Any) -> dict[str, Any]:
    return {"PipelineExecutionSteps": [{"StepStatus": status, **more}]}


def run_state(name: str, error: str = "") -> dict[str, Any]:
    return {"JobRun": {"JobRunState": name, "ErrorMessage": error}}


def build(status: str, *values: str) -> dict[str, Any]:
    exported = [{"name": "WORD", "value": value} for value in values]
    built = {"buildStatus": status, "buildComplete": True, "exportedEnvironmentVariables": exported}
    return {"builds": [built]}


def files(*keys: str) -> dict[str, Any]:
    return {"Contents": [{"Key": key} for key in keys]}


def message(text: str) -> dict[str, Any]:
    return {"process": {**DONE, "ExitMessage": text}}


def nodes(text: str) -> dict[str, Any]:
    return {"ended": {"TrainingJobStatus": "Failed", "FailureReason": f"AlgorithmError: {text}"}}


GATE = "ClientError: gate closed: " + "x" * 780 + " end"
UNASSUMED = "The role defined for the function cannot be assumed by Lambda."
CAPTURED = "capture/prove-0a1b2c-endpoint/v/2026/12/01/10/a.jsonl"
SERVICE = {"ServiceDetails": [{"PrivateDnsName": "*.mlflow.example"}]}
EARLIER = {"PipelineExecutionArn": EXECUTION}
RAISED = {"MetricAlarms": [{"StateValue": "ALARM"}]}
SERVING = {"endpoint": {"EndpointStatus": "InService"}, "answer": {"Body": '{"word": "probe"}'}}
# Probe -> answers with which its belief holds, then changes of them with which it differs.
CASES: dict[str, tuple[dict[str, Any], ...]] = {
    "trust-lambda": (
        {"strict": failure("InvalidParameterValueException", UNASSUMED)},
        {"strict": {"FunctionArn": "arn"}},
    ),
    "trust-glue": (
        {"control": run_state("SUCCEEDED"), "strict": run_state("FAILED", "Role not trusted")},
        {"strict": run_state("SUCCEEDED")},
    ),
    "trust-sagemaker": (
        {"process": DONE},
        {
            "process_start": failure("ValidationException", "Could not assume role"),
            "process": failure("ValidationException", "Could not find requested job"),
        },
    ),
    "trust-states": (
        {"run": {"status": "SUCCEEDED", "output": '"read probe"'}},
        {"run": {"status": "FAILED", "output": ""}},
        {
            "flow": failure("AccessDeniedException", "not authorized to assume"),
            "run_start": failure("StateMachineDoesNotExist"),
        },
    ),
    "trust-events": (
        {
            "sent": {"FailedEntryCount": 0},
            "started": {"executions": [{"executionArn": "a:b", "status": "SUCCEEDED"}]},
            "run": {"status": "SUCCEEDED", "output": '"heard: probe"'},
        },
        {"started": {"executions": []}},
        {"run": {"status": "FAILED", "output": ""}},
    ),
    "trust-codebuild": (
        {"build": build("SUCCEEDED", "probe")},
        {"build": build("SUCCEEDED")},
        {
            "project": failure("InvalidInputException", "CodeBuild cannot assume the role"),
            "start": failure("ResourceNotFoundException"),
        },
    ),
    "kms-request-alias": (
        {"by_id": DENIED, "raw": DENIED},
        {"by_id": {}},
        {"raw": {}},
        {"by_alias": DENIED},
    ),
    "kms-via-s3": ({"direct": DENIED}, {"direct": {}}, {"opened": failure("AccessDenied")}),
    "kms-logs-context": (
        {"other": failure("InvalidParameterException")},
        {"other": {}},
        {"named": failure("InvalidParameterException")},
    ),
    "kms-grant": (
        {"direct": DENIED, "process": DONE},
        {"direct": {"GrantId": "a"}},
        {"process": {"ProcessingJobStatus": "Failed", "FailureReason": "ClientError: no grant"}},
        {
            "process_start": failure("ValidationException", "Could not create a grant"),
            "process": failure("ValidationException", "Could not find requested job"),
        },
    ),
    "lambda-step-failure": (
        {"run": step("Failed", FailureReason=GATE)},
        {"run": step("Failed", FailureReason="The Lambda function failed")},
        {"run": step("Failed", FailureReason=GATE[:700])},
        {"run": step("Failed", FailureReason=None)},
    ),
    "mlflow-service": (
        {"service": SERVICE},
        {"service": {"ServiceDetails": []}},
        {"service": {"ServiceDetails": [{"PrivateDnsName": None}]}},
        {"service": failure("InvalidServiceName")},
    ),
    "mlflow-route": (
        {
            "service": SERVICE,
            "process": {**DONE, "ExitMessage": "reached: private=True status=403"},
        },
        message("not reached: TimeoutError"),
        message("reached: private=False status=403"),
    ),
    "definition-accepted": ({}, {"created": failure("ValidationException")}),
    "job-in-vpc": (
        message("hosts=1 internet=False"),
        message("hosts=1 internet=True"),
        message("hosts=2 internet=False"),
        {"process": {"ProcessingJobStatus": "Failed", "ExitMessage": ""}},
    ),
    "cache-hits": (
        {
            "run": step("Succeeded"),
            "run_start": EARLIER,
            "again": step(
                "Succeeded",
                CacheHitResult={"SourcePipelineExecutionArn": EARLIER["PipelineExecutionArn"]},
            ),
        },
        {"again": step("Succeeded", CacheHitResult=None)},
    ),
    "two-hosts": (
        {"process": DONE, "files": files("out/algo-1", "out/algo-2")},
        {"files": files("out/algo-1")},
    ),
    "train-resumes": (
        {
            "stopped": {"TrainingJobStatus": "Stopped"},
            "resumed": {"TrainingJobStatus": "Failed", "FailureReason": "resumed after sigterm"},
        },
        {"resumed": {"TrainingJobStatus": "Completed", "FailureReason": None}},
    ),
    "package-with-card": (
        {
            "package": {
                "ModelApprovalStatus": "PendingManualApproval",
                "ModelCard": {"ModelCardContent": '{"purpose": "probe"}'},
            }
        },
        {"package": {"ModelCard": {"ModelCardContent": None}}},
        {"created": failure("ValidationException")},
    ),
    "alias-moves": (
        {"verified": failure("KMSInvalidSignatureException")},
        {"verified": {"SignatureValid": True}},
    ),
    "alarm-looks-back": (
        {"raised": RAISED, "calm": {"MetricAlarms": [{"StateValue": "OK"}]}},
        {"calm": RAISED},
        {"calm": {"MetricAlarms": [{"StateValue": "INSUFFICIENT_DATA"}]}},
    ),
    "break-glass-heard": ({}, {"heard": {"Messages": None}}),
    "lake-columns": (
        {
            "shown": table("open", "one", "two"),
            "shown_end": state("SUCCEEDED"),
            "hidden_end": state("FAILED", "COLUMN_NOT_FOUND: line 1:8"),
        },
        {"hidden_end": state("SUCCEEDED")},
        {"shown_end": state("FAILED"), "shown": failure("InvalidRequestException")},
    ),
    "lake-rows": (
        {"shown": table("open", "one"), "shown_end": state("SUCCEEDED")},
        {"shown": table("open", "one", "two")},
    ),
    "unload-twice": (
        {
            "first_end": state("SUCCEEDED"),
            "second_end": state("FAILED", "HIVE_PATH_ALREADY_EXISTS: not empty"),
        },
        {"second_end": state("SUCCEEDED")},
    ),
    "iceberg-version": (
        {
            **{f"{name}_end": state("SUCCEEDED") for name in ("made", "added", "snapshots")},
            "snapshots": table("snapshot_id", "1", "2"),
            "unloaded_end": state("SUCCEEDED"),
        },
        {"unloaded_end": state("FAILED")},
        {"snapshots_end": state("FAILED"), "snapshots": failure("InvalidRequestException")},
    ),
    "endpoint-policies": (
        message("sts=ok athena=ok glue=ok kms=ok other=AccessDeniedException"),
        message("sts=ok athena=ok glue=AccessDeniedException kms=ok other=AccessDeniedException"),
        message("sts=ConnectTimeoutError athena=ok glue=ok kms=ok other=AccessDeniedException"),
        message("sts=ok athena=ok glue=ok kms=ok other=ok"),
    ),
    "images-build": (
        {
            "build": build("SUCCEEDED", "sha256:1a"),
            "image": {"imageDetails": [{"imageDigest": "sha256:1a"}]},
        },
        {"build": build("SUCCEEDED", "sha256:2b")},
        {"build": build("SUCCEEDED")},
    ),
    "images-scan": (
        {"build": build("SUCCEEDED"), "scan": {"imageScanStatus": {"status": "COMPLETE"}}},
        {"scan": {"imageScanStatus": {"status": "UNSUPPORTED_IMAGE"}}},
    ),
    "inf2-serves": (
        {**SERVING, "process": DONE, "answer": {"Body": '{"word": "close"}'}},
        {"answer": {"Body": '{"word": "apart"}'}},
        {"answer": failure("ModelError")},
        {"endpoint": {"EndpointStatus": "Failed"}, "answer": failure("ValidationError")},
    ),
    "gpu-serves": (
        {**SERVING, "answer": {"Body": '{"word": "cuda 8"}'}},
        {"answer": {"Body": '{"word": "cpu 8"}'}},
        {"answer": failure("ModelError")},
        {"endpoint": {"EndpointStatus": "Failed"}, "answer": failure("ValidationError")},
    ),
    "nodes-meet": (
        nodes("nodes: gloo=2 nccl=2, exit code: 1"),
        nodes("nodes: apart: DistStoreError, exit code: 1"),
        nodes("nodes: gloo=2 apart: RuntimeError, exit code: 1"),
        nodes("nodes: gloo=1 nccl=1, exit code: 1"),
    ),
    "quality-rules": ({}, {"ruleset": failure("InvalidInputException")}),
    "endpoint-isolated": (
        SERVING,
        {"endpoint": {"EndpointStatus": "Failed"}, "answer": failure("ValidationError")},
        {"answer": {"Body": "{}"}},
    ),
    "broken-model-healthy": (
        {**SERVING, "answer": failure("ModelError", "client error (400)")},
        {"endpoint": {"EndpointStatus": "Failed"}},
        {"answer": failure("ModelError", "server error (500)")},
        {"answer": {"Body": "{}"}},
    ),
    "status-codes": (
        {
            "endpoint": {"EndpointStatus": "InService"},
            "refused": failure("ModelError", "Received client error (400) from primary"),
            "fault": failure("ModelError", "Received server error (500) from primary"),
        },
        {"refused": failure("ModelError", "Received server error (500) from primary")},
        {"fault": failure("ModelError", "Received client error (400) from primary")},
    ),
    "capture-files": (
        {**SERVING, "files": files(CAPTURED)},
        {"files": files("capture/x.jsonl")},
        {"files": {"Contents": None}},
    ),
    "update-rolls-back": (
        {**SERVING, "after": {"EndpointStatus": "InService", "EndpointConfigName": "p-endpoint"}},
        {"after": {"EndpointStatus": "InService", "EndpointConfigName": "p-silent"}},
        {"after": {"EndpointStatus": "Failed", "EndpointConfigName": "p-endpoint"}},
    ),
}
ALTERED = [(name, change) for name, (_, *changes) in CASES.items() for change in changes]


def ran(
    name: str, answers: dict[str, Any], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> Record:
    """Runs a probe in a world, and checks that it deletes what it has made."""
    with world_of(answers, monkeypatch) as world:
        record = Execution(PROBES[name], place_of(folder)).record(usd=0)
    assert not list(folder.iterdir())
    assert DEV.account not in record.model_dump_json()
    made = {name.partition(":")[2] for name in world.operations()}
    removed = {re.sub("^(Delete|Revoke)", "", word) for word in made}
    for word in made:
        if word.startswith("Create") and word != "CreateKey":
            assert word[6:] in removed or f"Delete{word[6:]}s" in made, word
    assert "CreateKey" not in made or "ScheduleKeyDeletion" in made
    return record


@pytest.mark.parametrize("name", WHOLE)
def test_a_belief_holds_by_the_answers_that_it_expects(name, tmp_path, monkeypatch) -> None:
    record = ran(name, CASES[name][0], tmp_path, monkeypatch)
    assert record.verdict == "holds", record.calls
    assert record.endpoint_override  # nobody has seen AWS's host
    again = Record.model_validate_json(record.model_dump_json())
    assert judge(PROBES[name], again.calls) == "holds"  # what is not kept cannot count


@pytest.mark.parametrize(("name", "change"), ALTERED)
def test_a_belief_differs_by_other_answers(name, change, tmp_path, monkeypatch) -> None:
    record = ran(name, {**CASES[name][0], **change}, tmp_path, monkeypatch)
    assert record.verdict == "differs", record.calls


@pytest.mark.parametrize("name", WHOLE)
def test_a_belief_is_unknown_without_any_answer_that_it_needs(name, tmp_path, monkeypatch) -> None:
    probe = PROBES[name]
    expected = f"{probe.premise} {probe.holds}"
    judged = [s.name for s in probe.steps if s.name and re.search(rf"\b{s.name}\.", expected)]
    for failing in judged:
        answers = {**CASES[name][0], failing: failure("ServiceUnavailable", "try later")}
        assert ran(name, answers, tmp_path, monkeypatch).verdict == "unknown", failing
    record = ran(name, CASES[name][0], tmp_path, monkeypatch)
    for failing in judged:
        without = [call for call in record.calls if call.name != failing]
        assert judge(probe, without) == "unknown", failing


@pytest.mark.parametrize(
    "name", ["endpoint-isolated", "broken-model-healthy", "job-in-vpc", "gpu-serves", "inf2-serves"]
)
def test_a_region_without_machines_says_nothing_of_a_belief(name, tmp_path, monkeypatch) -> None:
    failed = {"FailureReason": "CapacityError: Unable to provision", "EndpointStatus": "Failed"}
    process = {**failed, "ProcessingJobStatus": "Failed"} if name == "job-in-vpc" else DONE
    answers = {"endpoint": failed, "process": process}
    assert ran(name, answers, tmp_path, monkeypatch).verdict == "unknown"


def test_a_persons_role_is_the_callers_alone() -> None:
    steps = [step for probe in WHOLE.values() for step in probe.steps]
    trusts = [s.with_["AssumeRolePolicyDocument"] for s in steps if s.call == "iam:CreateRole"]
    persons = [t for t in trusts if "AWS" in t["$json"]["Statement"][0]["Principal"]]
    assert len(persons) >= 5
    for trust in persons:
        condition = trust["$json"]["Statement"][0]["Condition"]["StringEquals"]
        assert re.fullmatch(r"\$\{\w+_caller\.UserId\}", condition["aws:userid"])


def test_the_thirty_of_the_facts_are_listed_and_those_under_a_dollar_can_run() -> None:
    cheap = [probe for probe in WHOLE.values() if probe.price < 1]
    assert len(PROBES) >= 30
    assert len(cheap) >= 20
    assert next(iter(PROBES)).startswith("trust-")
    assert CASES.keys() == WHOLE.keys()
    for probe in PROBES.values():
        assert bool(probe.outline) != bool(probe.steps and probe.holds and probe.differs)
        assert bool(probe.usd) == bool(probe.source)
        names = [step.name for step in probe.steps if step.name]
        assert len({*names}) == len(names)
