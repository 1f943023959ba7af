"""An alarm in an account: one run of one pipeline, unless a guard says no; nobody's approval."""

import datetime as dt
import io
import json
from dataclasses import replace

import pytest
from aws_cdk import aws_kms as kms

from sashiko.aws.functions.retraining.handler import handler
from sashiko.monitoring.retraining import decide_retraining
from sashiko.settings.recipe import load_recipe
from sashiko_cdk.events.flows.outcome import outcome_flow
from sashiko_cdk.identity.role_table import NEVER
from tests.infra.sample_events import execution_ended
from tests.infra.step_functions import REGION, account
from tests.infra.variants import ROOT, deployment_of, new_app, resources, settings_of
from tests.unit.report.windows import windows

SETTINGS = settings_of("dev")
GROUP = "sashiko-dev-complaint-triage"
PIPELINE = "sashiko-dev-complaints"
ARN = f"arn:aws:sagemaker:us-east-1:111122223333:pipeline/{PIPELINE}"
LOAD = {
    "JobRunState": "SUCCEEDED",
    "Arguments": {"--as-of": "20261122T020000Z"},
    "CompletedOn": "2026-11-22T02:10:00Z",
}
GATE = "gate closed: too unfair"
LONG_AGO, LATELY = 700, 8  # days
ALARM = windows(14, shifted=10, deploy=5)[-1].model_copy(update={"group": GROUP})


def _recipe(**rules):
    recipe = load_recipe(ROOT / "recipes/complaints.yaml")
    rules = {"retrain": "start", "retrain_labels": 1, **rules}
    return recipe.model_copy(update={"monitor": recipe.monitor.model_copy(update=rules)})


def _execution(name, status, days):
    return {
        "PipelineExecutionArn": f"{ARN}/execution/{name}",
        "PipelineExecutionStatus": status,
        "StartTime": dt.datetime.now(dt.UTC) - dt.timedelta(days=days),
    }


def _package(version, made_by, status, standing="better"):
    return {
        "ModelPackageVersion": version,
        "ModelApprovalStatus": status,
        "CustomerMetadataProperties": {"execution_id": made_by, "standing.champion": standing},
    }


class Retraining:
    """Publishes a window in alarm, in an account whose calls a test answers."""

    def __init__(self, fake):
        self.fake = fake
        # The newest first, as SageMaker lists them. The first version is the monitored one.
        self.executions = [_execution("first", "Succeeded", LONG_AGO)]
        self.packages = [_package(ALARM.version, "first", "Approved")]
        self.reasons = [("Train", "some job")]
        self.loads = [LOAD]
        answers = {
            "ListPipelineParametersForExecution": lambda _: {"PipelineParameters": []},
            "PutMetricData": lambda _: {},
            "ListPipelineExecutions": lambda _: {"PipelineExecutionSummaries": self.executions},
            "ListModelPackages": lambda _: {
                "ModelPackageSummaryList": [
                    {"ModelPackageArn": f"arn:x/{place}"} for place, _ in enumerate(self.packages)
                ]
            },
            "DescribeModelPackage": lambda call: self.packages[
                int(call["ModelPackageName"].rpartition("/")[2])
            ],
            "ListPipelineExecutionSteps": lambda _: {
                "PipelineExecutionSteps": [
                    {"StepName": name, "StepStatus": "Failed", "FailureReason": reason}
                    for name, reason in self.reasons
                ]
            },
            "GetJobRuns": lambda _: {"JobRuns": self.loads},
            "Invoke": self._invoke,
            "StartPipelineExecution": lambda _: {},
        }
        fake.answers.update(answers)

    def _invoke(self, call):
        """Runs the function itself."""
        assert call["FunctionName"].endswith(":function:sashiko-dev-retrain-guard")
        self.decision = handler(json.loads(call["Payload"]), None)
        return {"StatusCode": 200, "Payload": io.BytesIO(json.dumps(self.decision).encode())}

    def publish(self, result=ALARM, **rules):
        body = json.dumps(result.model_dump(mode="json"))
        self.fake.answers["GetObject"] = lambda _: {"Body": body}
        flow = outcome_flow(
            SETTINGS, _recipe(**rules), namespace="sashiko-dev/monitor", table="complaints"
        )
        return self.fake.run(flow, execution_ended("Succeeded", pipeline=f"{PIPELINE}-monitor"))

    @property
    def starts(self):
        return [call for name, call in self.fake.calls if name == "StartPipelineExecution"]


@pytest.fixture
def retraining(monkeypatch):
    monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)  # as Lambda sets it
    with account() as fake:
        yield Retraining(fake)


def test_an_alarm_starts_one_pipeline_under_the_window_s_own_token(retraining):
    assert retraining.publish().status == "SUCCEEDED"
    assert retraining.publish().status == "SUCCEEDED"  # the event is delivered again
    start, again = retraining.starts
    assert start["PipelineName"] == PIPELINE
    assert start["PipelineParameters"] == [{"Name": "AsOf", "Value": "20261122T020000Z"}]
    assert start["ClientRequestToken"] == again["ClientRequestToken"]
    # SageMaker takes the same token for the same window, here and on a laptop.
    here = decide_retraining(_recipe().monitor, ALARM, (), now=ALARM.end)
    assert (here.action, here.token) == ("start", start["ClientRequestToken"])
    alarms = [check.name for check in ALARM.checks if check.outcome == "alarm"]
    assert start["PipelineExecutionDescription"] == f"monitoring: {', '.join(alarms)}"


@pytest.mark.parametrize("retrain", ["off", "propose"])
def test_unless_the_recipe_says_start_nothing_is_invoked_and_nothing_starts(retraining, retrain):
    assert retraining.publish(retrain=retrain).status == "SUCCEEDED"
    assert not {"Invoke", "StartPipelineExecution"} & {name for name, _ in retraining.fake.calls}


def test_without_an_alarm_nothing_starts(retraining):
    quiet = tuple(check for check in ALARM.checks if check.outcome != "alarm")
    assert retraining.publish(ALARM.model_copy(update={"checks": quiet})).status == "SUCCEEDED"
    assert retraining.starts == []


@pytest.mark.parametrize(
    ("execution", "package", "objection"),
    [
        (("Executing", LONG_AGO), None, "a candidate is being trained"),
        (("Stopping", LONG_AGO), None, "a candidate is being trained"),
        (("Succeeded", LONG_AGO), "PendingManualApproval", "a candidate waits for approval"),
        (("Failed", LATELY), None, "the last candidate is younger than 28 days"),
        (("Stopped", LATELY), None, "the last candidate is younger than 28 days"),
    ],
    ids=["running", "stopping", "waiting", "cooldown", "stopped"],
)
def test_a_guard_holds_the_start_back(retraining, execution, package, objection):
    retraining.executions.insert(0, _execution("second", *execution))
    if package:
        retraining.packages.append(_package(ALARM.version + 1, "second", package))
    assert retraining.publish().status == "SUCCEEDED"
    assert retraining.starts == []
    assert objection in retraining.decision["objections"][0]


@pytest.mark.parametrize(
    ("reasons", "opens"),
    [
        ([("ModelGate", GATE)], False),
        ([("ModelGate", GATE), ("Track", "no capacity")], True),
        # The newest first: it was tried again, and then the gate closed.
        ([("ModelGate", GATE), ("ModelGate", "no capacity")], False),
    ],
    ids=["blocked", "failed", "tried again"],
)
def test_the_breaker_counts_what_a_gate_has_blocked_and_no_failed_job(retraining, reasons, opens):
    retraining.reasons = reasons
    for name in ("second", "third"):
        retraining.executions.insert(0, _execution(name, "Failed", LONG_AGO))
    assert retraining.publish().status == "SUCCEEDED"
    assert bool(retraining.starts) == opens
    if not opens:
        (objection,) = retraining.decision["objections"]
        assert objection.startswith("the last 2 candidates were blocked, rejected or no better")


def test_quota_and_labels_are_the_recipe_s(retraining):
    retraining.executions.insert(0, _execution("second", "Failed", 180))
    known = ALARM.quality.labels.known
    retraining.publish(retrain_most_per_year=1, retrain_labels=known + 1)
    assert retraining.starts == []
    assert retraining.decision["objections"] == [
        "1 candidates in a year, 1 are allowed",
        f"{known:,} new labels, {known + 1:,} are needed",
    ]


def test_of_a_promoted_version_every_execution_counts(retraining):
    retraining.packages = [_package(ALARM.version, "made-elsewhere", "Approved")]
    retraining.executions = [_execution("some", "Failed", LATELY)]
    retraining.publish()
    assert retraining.starts == []
    assert retraining.decision["objections"] == ["the last candidate is younger than 28 days"]


def test_without_a_load_it_fails_and_names_the_command(retraining):
    retraining.loads = []
    outcome = retraining.publish()
    assert (outcome.status, outcome.error) == ("FAILED", "NothingLoaded")
    assert "sashiko run --env dev --recipe complaints" in outcome.cause
    assert retraining.starts == []


def _stack(**rules):
    """The template of a stack whose recipe's version is served."""
    from sashiko_cdk.events.event_flows import EventFlows
    from sashiko_cdk.events.monitoring import add_monitoring
    from sashiko_cdk.stack import EnvironmentStack

    app = new_app()
    deployment = replace(deployment_of(SETTINGS), settings=settings_of("serving"))
    stack = EnvironmentStack(app, "Pipeline", deployment, stateful=False, description="of a test")
    key = kms.Key(stack, "Key")
    flows = EventFlows(
        stack, "Events", settings=stack.settings, logs_key=key, removal_policy=stack.removal_policy
    )
    add_monitoring(
        stack,
        flows=flows,
        recipes=[_recipe(**rules)],
        artifacts_key_arn=key.key_arn,
        logs_key=key,
    )
    return app.synth().get_stack_by_name(stack.stack_name).template


def _listed(value):
    return value if isinstance(value, list) else [value]


def _statements(template, role="monitor-publisher"):
    return [
        statement
        for policy in resources(template, "AWS::IAM::ManagedPolicy").values()
        if policy["Properties"]["Roles"] == [f"sashiko-dev-{role}"]
        for statement in policy["Properties"]["PolicyDocument"]["Statement"]
    ]


@pytest.mark.control("AC-6")
def test_the_outcome_may_start_the_one_pipeline_and_nothing_else_and_approve_nothing():
    template = _stack()
    statements = _statements(template)
    starting = [item for item in statements if "Start" in json.dumps(item["Action"])]
    assert [(item["Action"], item["Resource"]) for item in starting] == [
        ("sagemaker:StartPipelineExecution", ARN)
    ]
    reads = _statements(template, "retrain-guard")
    assert {action for item in reads for action in _listed(item["Action"])} == {
        "sagemaker:DescribeModelPackage",
        "sagemaker:ListModelPackages",
        "sagemaker:ListPipelineExecutionSteps",
        "sagemaker:ListPipelineExecutions",
    }
    invoked = [item["Resource"] for item in statements if "lambda" in json.dumps(item["Action"])]
    assert [arn.rpartition(":")[2] for arn in invoked] == ["sashiko-dev-retrain-guard"]
    functions = resources(template, "AWS::Lambda::Function").values()
    assert [item["Properties"]["FunctionName"] for item in functions] == [
        "sashiko-dev-retrain-guard"
    ]
    for role in ("monitor-publisher", "retrain-guard", "pipeline"):
        assert any(
            denied in NEVER[role]
            for denied in ("sagemaker:UpdateModelPackage", "sagemaker:Update*")
        )


@pytest.mark.parametrize("retrain", ["off", "propose"])
def test_where_no_alarm_starts_a_run_nobody_may_by_it(retrain):
    template = _stack(retrain=retrain)
    allowed = json.dumps(_statements(template))
    assert "Start" not in allowed
    assert "lambda" not in allowed
    assert resources(template, "AWS::Lambda::Function") == {}
