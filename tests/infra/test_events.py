"""Rules: which events start what, and which ones somebody hears of."""

import json

import pytest
from moto.events.models import EventPattern

from tests.infra.sample_events import (
    execution_ended,
    job_ended,
    machine_ended,
    object_created,
    package_changed,
    role_assumed,
)
from tests.infra.variants import (
    changed,
    named,
    only,
    principals_of,
    recipes_of,
    resources,
    settings_of,
    some,
    templates_of,
)

MARKER = "complaints/as_of=20261125T104500Z/_SUCCESS"


def _rules(template):
    rules = named(template, "AWS::Events::Rule", "Name")
    return {name.removeprefix("sashiko-dev-"): rule for name, rule in rules.items()}


@pytest.fixture(scope="module")
def rules():
    """Name -> rule, in dev."""
    return _rules(templates_of("dev")["Pipeline"])


@pytest.fixture
def matching(rules):
    """Names the rules whose pattern an event matches, by moto's matching of patterns."""

    def match(event):
        patterns = {name: json.dumps(rule["EventPattern"]) for name, rule in rules.items()}
        return [n for n, text in patterns.items() if EventPattern.load(text).matches_event(event)]

    return match


@pytest.mark.parametrize(
    ("event", "rule"),
    [
        (object_created(MARKER), "extract-complete"),
        (object_created("_SUCCESS"), "extract-complete"),
        (job_ended("SUCCEEDED"), "complaints-loaded"),
        (job_ended("FAILED"), "etl-failed"),
        (job_ended("TIMEOUT", job="sashiko-dev-etl-census"), "etl-failed"),
        (job_ended("STOPPED"), "etl-failed"),
        (execution_ended("Failed"), "pipeline-failed"),
        (execution_ended("Stopped"), "pipeline-failed"),
        (package_changed("PendingManualApproval"), "model-pending"),
        (package_changed("Approved"), "model-approved"),
        (package_changed("Rejected"), "model-rejected"),
        (machine_ended("FAILED"), "trigger-failed"),
        (role_assumed(), "break-glass"),
        (machine_ended("TIMED_OUT", machine="sashiko-dev-start-complaints"), "trigger-failed"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_an_event_is_one_rules(matching, event, rule):
    assert matching(event) == [rule]


@pytest.mark.parametrize(
    "event",
    [
        object_created("complaints/as_of=20261125T104500Z/part-0.csv"),
        object_created(MARKER, bucket="sashiko-prod-raw-111122223333-us-east-1"),
        # A recipe names one contract: the load of another table starts nothing.
        job_ended("SUCCEEDED", job="sashiko-dev-etl-census"),
        job_ended("FAILED", job="sashiko-prod-etl-complaints"),
        job_ended("FAILED", job="somebody-elses"),
        execution_ended("Succeeded"),
        execution_ended("Executing"),
        execution_ended("Failed", pipeline="sashiko-prod-complaints"),
        package_changed("Approved", group="somebody-elses"),
        package_changed("PendingManualApproval", status="InProgress"),
        machine_ended("RUNNING"),
        machine_ended("SUCCEEDED"),
        role_assumed("sashiko-dev-approver"),
        role_assumed("sashiko-prod-break-glass"),
        # It cannot report its own failure: an alarm does.
        machine_ended("FAILED", machine="sashiko-dev-notify"),
    ],
)
def test_no_rule_is_about_what_is_not_ours_or_no_news(matching, event):
    assert matching(event) == []


def test_break_glass_is_heard_of_though_cloudtrail_takes_the_call_for_a_read(rules):
    """By default a rule hears of no call that only reads, and a rule hears one region."""
    assert rules["break-glass"]["State"] == "ENABLED_WITH_ALL_CLOUDTRAIL_MANAGEMENT_EVENTS"
    assert {rule["State"] for name, rule in rules.items() if name != "break-glass"} == {"ENABLED"}
    roles = named(templates_of("dev")["Identity"], "AWS::IAM::Role", "RoleName")
    role = roles["sashiko-dev-break-glass"]
    for statement in role["AssumeRolePolicyDocument"]["Statement"]:
        assert statement["Condition"]["StringEquals"] == {"aws:RequestedRegion": "us-east-1"}


@pytest.mark.control("SQS.1")
def test_what_cannot_be_handed_over_is_kept_and_an_alarm_says_so(rules):
    template = templates_of("dev")["Pipeline"]
    ((queue, resource),) = resources(template, "AWS::SQS::Queue").items()
    policy = only(template, "AWS::SQS::QueuePolicy")["PolicyDocument"]
    alarms = named(template, "AWS::CloudWatch::Alarm", "AlarmName")
    for rule in rules.values():
        (target,) = rule["Targets"]
        assert target["DeadLetterConfig"] == {"Arn": {"Fn::GetAtt": [queue, "Arn"]}}
        assert target["RoleArn"] == "arn:aws:iam::111122223333:role/sashiko-dev-event-router"
    assert resource["Properties"]["SqsManagedSseEnabled"] is True
    assert resource["Properties"]["MessageRetentionPeriod"] == 14 * 24 * 3600
    (sends,) = [item for item in policy["Statement"] if item["Effect"] == "Allow"]
    assert sends["Principal"] == {"Service": "events.amazonaws.com"}
    assert sends["Condition"] == {
        "StringEquals": {"aws:SourceAccount": "111122223333"},
        "ArnLike": {"aws:SourceArn": "arn:aws:events:us-east-1:111122223333:rule/sashiko-dev-*"},
    }
    assert set(alarms) == {"sashiko-dev-events-undelivered", "sashiko-dev-events-unpublished"}
    for alarm in alarms.values():
        topic = "arn:aws:sns:us-east-1:111122223333:sashiko-dev-alerts"
        assert alarm["AlarmActions"] == [topic]
        assert alarm["TreatMissingData"] == "notBreaching"


@pytest.mark.control("StepFunctions.1")
def test_the_state_machines_log_to_an_encrypted_group_that_is_kept(rules):
    template = templates_of("dev")["Pipeline"]
    for machine in some(template, "AWS::StepFunctions::StateMachine").values():
        logged = machine["Properties"]["LoggingConfiguration"]
        (destination,) = logged["Destinations"]
        logical, _ = destination["CloudWatchLogsLogGroup"]["LogGroupArn"]["Fn::GetAtt"]
        group = resources(template, "AWS::Logs::LogGroup")[logical]["Properties"]
        assert logged["Level"] == "ALL"
        assert (group["RetentionInDays"], bool(group["KmsKeyId"])) == (365, True)


@pytest.mark.parametrize(
    ("off", "rule", "machine"),
    [
        ("etl", "extract-complete", "start-etl"),
        ("pipeline", "complaints-loaded", "start-complaints"),
    ],
)
def test_a_trigger_that_is_off_is_not_there(rules, off, rule, machine):
    from infra.app import add_stacks
    from tests.infra.variants import deployment_of, new_app

    app = new_app()
    add_stacks(app, deployment_of(changed(settings_of("dev"), "triggers", **{off: False})))
    template = app.synth().get_stack_by_name("sashiko-dev-Pipeline").template
    assert set(rules) - set(_rules(template)) == {rule}
    names = named(template, "AWS::StepFunctions::StateMachine", "StateMachineName")
    assert f"sashiko-dev-{machine}" not in names
    assert len(names) == 2


def test_the_roles_start_exactly_their_job_and_pipeline():

    roles = principals_of("dev")
    jobs = "arn:aws:glue:us-east-1:111122223333:job/sashiko-dev-etl-"
    pipelines = "arn:aws:sagemaker:us-east-1:111122223333:pipeline/sashiko-dev-"
    machines = "arn:aws:states:us-east-1:111122223333:stateMachine:sashiko-dev-"
    start, execute = "glue:StartJobRun", "sagemaker:StartPipelineExecution"

    assert roles["etl-starter"].may(start, f"{jobs}complaints")
    assert not roles["etl-starter"].may(start, f"{jobs}other")
    assert not roles["etl-starter"].may(execute, f"{pipelines}complaints")
    assert roles["pipeline-starter"].may(execute, f"{pipelines}complaints")
    assert not roles["pipeline-starter"].may(execute, f"{pipelines}other")
    assert not roles["pipeline-starter"].may(start, f"{jobs}complaints")
    assert roles["event-router"].may("states:StartExecution", f"{machines}notify")
    assert not roles["event-router"].may("states:StartExecution", f"{machines}other")
    for name in ("etl-starter", "event-router", "notifier", "pipeline-starter"):
        assert not roles[name].may("s3:GetObject", "*")
        assert not roles[name].may("sagemaker:UpdateModelPackage", "*")


def test_the_raw_bucket_tells_eventbridge_without_a_function():
    template = templates_of("dev")["DataLake"]
    buckets = named(template, "AWS::S3::Bucket", "BucketName")
    notifying = [name for name, bucket in buckets.items() if "NotificationConfiguration" in bucket]
    assert notifying == ["sashiko-dev-raw-111122223333-us-east-1"]
    assert only(template, "AWS::Lambda::Function")["FunctionName"] == "sashiko-dev-lake-probe"
    assert not resources(template, "Custom::S3BucketNotifications")


def test_a_recipe_whose_table_is_not_in_the_lake_is_refused():
    from sashiko.errors import InputError
    from sashiko_cdk.events.triggers import _table

    (recipe,) = recipes_of(settings_of("dev"))
    with pytest.raises(InputError, match=r"key `contracts`: recipe complaints .* `complaints`"):
        _table(settings_of("dev"), recipe, ["census"])
