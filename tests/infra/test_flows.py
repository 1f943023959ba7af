"""The state machines, executed: what they start, once, and what they say."""

import datetime as dt
import json

import pytest
from moto.moto_api import state_manager

from sashiko.evaluation.gates.closed_gate import GateClosedError
from sashiko_cdk.events.notifications import notice_flow
from sashiko_cdk.events.triggers import load_flow, training_flow
from tests.infra.sample_events import (
    RUN,
    execution_ended,
    job_ended,
    machine_ended,
    object_created,
    package_changed,
    role_assumed,
)
from tests.infra.step_functions import account
from tests.infra.variants import settings_of

TOPIC = "arn:aws:sns:us-east-1:111122223333:sashiko-dev-alerts"
MARKER = "complaints/as_of=20261125T104500Z/_SUCCESS"
JOB = "sashiko-dev-etl-complaints"


@pytest.fixture
def aws():
    with account() as fake:
        yield fake


@pytest.fixture
def glue(aws):
    client = aws.client("glue")
    for table in ("complaints", "census"):
        client.create_job(
            Name=f"sashiko-dev-etl-{table}",
            Role="some",
            Command={"Name": "glueetl"},
            ExecutionProperty={"MaxConcurrentRuns": 1},
        )
    return client


@pytest.fixture(scope="module")
def load():
    return load_flow(settings_of("dev"), ["complaints", "census"])


def _loads(glue, table="complaints"):
    runs = glue.get_job_runs(JobName=f"sashiko-dev-etl-{table}")["JobRuns"]
    return [run["Arguments"]["--as-of"] for run in runs]


@pytest.mark.parametrize("key", [MARKER, MARKER.replace("=", "%3D")])
def test_a_marker_starts_the_load_of_its_extract(aws, glue, load, key):
    assert aws.run(load, object_created(key)).status == "SUCCEEDED"
    assert (_loads(glue), _loads(glue, "census")) == (["20261125T104500Z"], [])


@pytest.mark.parametrize(
    "key",
    [
        "_SUCCESS",
        "complaints/_SUCCESS",
        "complaints/as_of=2026-11-25/_SUCCESS",
        "complaints/as_of=20261125T104500Z/part/_SUCCESS",
        "x/complaints/as_of=20261125T104500Z/_SUCCESS",
        "payroll/as_of=20261125T104500Z/_SUCCESS",
        "complaints/as_of=20261125T104500Z/not_SUCCESS",
    ],
)
def test_a_marker_in_another_place_starts_nothing_and_fails(aws, glue, load, key):
    outcome = aws.run(load, object_created(key))
    assert (outcome.status, outcome.error) == ("FAILED", "NotAnExtract")
    assert key in outcome.cause and "complaints, census" in outcome.cause
    assert (_loads(glue), _loads(glue, "census")) == ([], [])


def test_an_event_that_comes_twice_loads_once(aws, glue, load):
    for _ in range(2):
        assert aws.run(load, object_created(MARKER)).status == "SUCCEEDED"
    assert _loads(glue) == ["20261125T104500Z"]


def test_a_marker_that_is_written_anew_loads_anew(aws, glue, load):
    """Also after a run that failed: what ran before the marker is not the run that it wants."""
    aws.run(load, object_created(MARKER))
    later = (dt.datetime.now(dt.UTC) + dt.timedelta(minutes=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    assert aws.run(load, object_created(MARKER, time=later)).status == "SUCCEEDED"
    assert _loads(glue) == ["20261125T104500Z"] * 2


def test_a_job_that_is_busy_is_waited_for(aws, glue, load):
    # moto ends a run at once; here after its state has been read four times.
    state_manager.set_transition("glue::job_run", {"progression": "manual", "times": 2})
    try:
        glue.start_job_run(JobName=JOB, Arguments={"--as-of": "20261124T000000Z"})
        assert aws.run(load, object_created(MARKER)).status == "SUCCEEDED"
    finally:
        state_manager.unset_transition("glue::job_run")
    assert sorted(_loads(glue)) == ["20261124T000000Z", "20261125T104500Z"]


def test_a_load_starts_the_pipeline_on_its_version_by_a_token(aws, glue):
    """SageMaker starts one execution a token, however often the start is requested."""
    run = glue.start_job_run(JobName=JOB, Arguments={"--as-of": "20261125T104500Z"})["JobRunId"]
    aws.answers["StartPipelineExecution"] = lambda _: {}
    for _ in range(2):
        outcome = aws.run(training_flow("sashiko-dev-complaints"), job_ended("SUCCEEDED", run=run))
        assert outcome.status == "SUCCEEDED"
    first, second = (arguments for _, arguments in aws.calls)
    assert second == first
    assert first["PipelineName"] == "sashiko-dev-complaints"
    assert first["PipelineParameters"] == [{"Name": "AsOf", "Value": "20261125T104500Z"}]
    assert first["ClientRequestToken"] == run


@pytest.fixture
def notice(aws):
    """Runs the notifier on an event; returns subject and message.

    `failed` are the steps of the execution that SageMaker tells of, name -> why; `package` is the
    version as the registry describes it.
    """
    aws.client("sns").create_topic(Name="sashiko-dev-alerts")
    aws.answers["Publish"] = lambda _: {"MessageId": "some"}

    def tell(event, *, failed=None, package=None):
        steps = [{"StepName": "Snapshot", "StepStatus": "Succeeded"}]
        steps += [
            {"StepName": name, "StepStatus": "Failed", **({"FailureReason": why} if why else {})}
            for name, why in (failed or {}).items()
        ]
        aws.answers["ListPipelineExecutionSteps"] = lambda _: {"PipelineExecutionSteps": steps}
        aws.answers["DescribeModelPackage"] = lambda _: package or {}
        outcome = aws.run(notice_flow(settings_of("dev"), topic=TOPIC), event)
        assert outcome.status == "SUCCEEDED", outcome
        (message,) = [arguments for operation, arguments in aws.calls if operation == "Publish"]
        assert message["TopicArn"] == TOPIC
        return message["Subject"], message["Message"]

    return tell


FAILED = {"Train": "AlgorithmError: exit code 1", "DataGate": "AccessDenied", "Track": None}
WAITING = f"--env dev --recipe {settings_of('dev').recipe}"
START_ETL = "arn:aws:states:us-east-1:111122223333:execution:sashiko-dev-start-etl:some-id"
REASON = "auc 0.71 is below 0.80;\ntry more epochs"
CLOSED = str(GateClosedError([REASON]))
# Event, steps that failed, subject and what the message says.
NOTICES = {
    "load": (job_ended("TIMEOUT"), {}, f"ETL job {JOB} TIMEOUT", [
        'rule "RowCount > 0" failed',
        f"aws glue get-job-run --job-name {JOB} --run-id {RUN}",
    ]),
    "pipeline": (
        execution_ended("Failed"), FAILED, "pipeline failed in sashiko-dev-complaints",
        ["Train: AlgorithmError: exit code 1\nDataGate: AccessDenied\nTrack: \n\n"],
    ),
    "stopped": (
        execution_ended("Stopped"), {}, "pipeline stopped in sashiko-dev-complaints",
        ["sashiko runs show p4jn9xou8a8s --env dev"],
    ),
    "waiting": (
        package_changed("PendingManualApproval"), {},
        "version 2 of sashiko-dev-complaint-triage waits for approval", [
            f"sashiko model approve 2 {WAITING} --by NAME --reason WHY",
            f"sashiko model lineage 2 {WAITING}",
        ],
    ),
    "decided by nobody known": (
        package_changed("Approved"), {},
        "version 2 of sashiko-dev-complaint-triage approved", ["approved by somebody at"],
    ),
    "trigger": (machine_ended("TIMED_OUT"), {}, "trigger sashiko-dev-start-etl TIMED_OUT", [
        f"describe-execution --execution-arn {START_ETL}",
        f"redrive-execution --execution-arn {START_ETL}",
    ]),
    "break-glass": (role_assumed(), {}, "break-glass: ada assumed sashiko-dev-break-glass", [
        "arn:aws:iam::111122223333:user/ada assumed arn:aws:iam::111122223333:role/sashiko-dev-br",
        "at 2026-11-25T12:00:00Z from 192.0.2.1",
        "Revoke active sessions",
    ]),
    "break-glass refused": (
        role_assumed(errorCode="AccessDenied"), {},
        "break-glass: ada was refused sashiko-dev-break-glass", [],
    ),
}  # fmt: skip
# A gate's reason alone, after a word, and in Lambda's answer.
for _text in (
    CLOSED,
    f"ClientError: {CLOSED}",
    json.dumps({"errorMessage": CLOSED, "errorType": "GateClosedError"}),
):
    NOTICES[f"gate {len(NOTICES)}"] = (
        execution_ended("Failed"), {"ModelGate": _text},
        "gate ModelGate closed in sashiko-dev-complaints", [
            "nothing was registered",
            f"ModelGate: {REASON}\n\n",
            "sashiko runs show p4jn9xou8a8s --env dev",
        ],
    )  # fmt: skip


@pytest.mark.parametrize("name", NOTICES)
def test_a_notice_says_what_happened_and_what_to_do(notice, name):
    event, failed, subject, words = NOTICES[name]
    title, message = notice(event, failed=failed)
    assert title == f"sashiko-dev: {subject}"
    assert [word for word in words if word not in message] == []
    assert ("gate " in message) == name.startswith("gate")


@pytest.mark.parametrize("status", ["Approved", "Rejected"])
def test_a_decision_says_who_made_it_and_why(notice, status):
    approver = "arn:aws:sts::111122223333:assumed-role/sashiko-dev-approver/ada"
    by = {"IamIdentity": {"Arn": approver}}
    package = {"ApprovalDescription": "reviewed with the desk", "LastModifiedBy": by}
    subject, message = notice(package_changed(status), package=package)
    assert subject.endswith(f"complaint-triage {status.lower()}")
    assert f"by {approver} at 2026-11-25T12:00:00Z. reviewed with the desk" in message
    assert "model-package/sashiko-dev-complaint-triage/2" in message
    assert ("To serve it" in message) == (status == "Approved")
