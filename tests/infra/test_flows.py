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
    """Glue, with the ETL jobs."""
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
    """Runs the notifier on an event; returns subject and message."""
    aws.client("sns").create_topic(Name="sashiko-dev-alerts")
    aws.answers["Publish"] = lambda _: {"MessageId": "some"}

    def tell(event):
        outcome = aws.run(notice_flow(settings_of("dev"), topic=TOPIC), event)
        assert outcome.status == "SUCCEEDED", outcome
        (message,) = [arguments for operation, arguments in aws.calls if operation == "Publish"]
        assert message["TopicArn"] == TOPIC
        return message["Subject"], message["Message"]

    return tell


@pytest.fixture
def steps(aws):
    """Sets the steps of the execution that SageMaker tells of: name -> why it failed."""

    def set_steps(failed):
        steps = [{"StepName": "Snapshot", "StepStatus": "Succeeded"}]
        steps += [
            {"StepName": name, "StepStatus": "Failed", **({"FailureReason": why} if why else {})}
            for name, why in failed.items()
        ]
        aws.answers["ListPipelineExecutionSteps"] = lambda _: {"PipelineExecutionSteps": steps}

    return set_steps


def test_a_failed_load_says_why_and_how_to_load_again(notice):
    subject, message = notice(job_ended("TIMEOUT"))
    assert subject == f"sashiko-dev: ETL job {JOB} TIMEOUT"
    assert 'rule "RowCount > 0" failed' in message
    assert f"aws glue get-job-run --job-name {JOB} --run-id {RUN}" in message


@pytest.mark.parametrize(
    "around",
    [
        str,
        "ClientError: {}".format,
        lambda text: json.dumps({"errorMessage": text, "errorType": "GateClosedError"}),
    ],
    ids=["alone", "after a word", "in Lambda's answer"],
)
def test_a_closed_gate_is_reported_as_such_with_its_reason(notice, steps, around):
    closed = str(GateClosedError(["auc 0.71 is below 0.80;\ntry more epochs"]))
    steps({"ModelGate": around(closed)})
    subject, message = notice(execution_ended("Failed"))
    assert subject == "sashiko-dev: gate ModelGate closed in sashiko-dev-complaints"
    assert "nothing was registered" in message
    assert "ModelGate: auc 0.71 is below 0.80;\ntry more epochs\n\n" in message
    assert "sashiko runs show p4jn9xou8a8s --env dev" in message


def test_a_failed_pipeline_names_each_step_that_failed(notice, steps):
    steps({"Train": "AlgorithmError: exit code 1", "DataGate": "AccessDenied", "Track": None})
    subject, message = notice(execution_ended("Failed"))
    assert subject == "sashiko-dev: pipeline failed in sashiko-dev-complaints"
    assert "Train: AlgorithmError: exit code 1\nDataGate: AccessDenied\nTrack: \n\n" in message
    assert "gate " not in message


def test_a_stopped_pipeline_is_reported_without_a_failed_step(notice, steps):
    steps({})
    subject, message = notice(execution_ended("Stopped"))
    assert subject == "sashiko-dev: pipeline stopped in sashiko-dev-complaints"
    assert "sashiko runs show p4jn9xou8a8s --env dev" in message


def test_a_model_that_waits_says_how_to_decide(aws, notice):
    aws.answers["DescribeModelPackage"] = lambda _: {}
    subject, message = notice(package_changed("PendingManualApproval"))
    assert subject == "sashiko-dev: version 2 of sashiko-dev-complaint-triage waits for approval"
    place = f"--env dev --recipe {settings_of('dev').recipe}"
    assert f"sashiko model approve 2 {place} --by NAME --reason WHY" in message
    assert f"sashiko model lineage 2 {place}" in message


@pytest.mark.parametrize("status", ["Approved", "Rejected"])
def test_a_decision_says_who_made_it_and_why(aws, notice, status):
    approver = "arn:aws:sts::111122223333:assumed-role/sashiko-dev-approver/ada"
    aws.answers["DescribeModelPackage"] = lambda _: {
        "ApprovalDescription": "reviewed with the desk",
        "LastModifiedBy": {"IamIdentity": {"Arn": approver}},
    }
    subject, message = notice(package_changed(status))
    assert subject.endswith(f"complaint-triage {status.lower()}")
    assert f"by {approver} at 2026-11-25T12:00:00Z. reviewed with the desk" in message
    assert "model-package/sashiko-dev-complaint-triage/2" in message
    assert ("To serve it" in message) == (status == "Approved")


def test_a_decision_of_nobody_known_is_reported_too(aws, notice):
    aws.answers["DescribeModelPackage"] = lambda _: {}
    assert "approved by somebody at" in notice(package_changed("Approved"))[1]


def test_a_trigger_that_failed_says_how_to_look_and_repeat(notice):
    subject, message = notice(machine_ended("TIMED_OUT"))
    assert subject == "sashiko-dev: trigger sashiko-dev-start-etl TIMED_OUT"
    execution = "arn:aws:states:us-east-1:111122223333:execution:sashiko-dev-start-etl:some-id"
    assert f"describe-execution --execution-arn {execution}" in message
    assert f"redrive-execution --execution-arn {execution}" in message


def test_a_use_of_break_glass_says_who_and_what_to_do(notice):
    subject, message = notice(role_assumed())
    assert subject == "sashiko-dev: break-glass: ada assumed sashiko-dev-break-glass"
    user = "arn:aws:iam::111122223333:user/ada"
    assert message.startswith(f"{user} assumed arn:aws:iam::111122223333:role/sashiko-dev-break-gl")
    assert "at 2026-11-25T12:00:00Z from 192.0.2.1" in message
    assert "Revoke active sessions" in message


def test_a_refused_use_of_break_glass_is_reported_as_such(notice):
    assert "ada was refused" in notice(role_assumed(errorCode="AccessDenied"))[0]
