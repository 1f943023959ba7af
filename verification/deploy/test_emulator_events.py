"""The emulator's rules, state machines, queues and alarms refuse and change as AWS's do."""

import json
from typing import Any

import pytest

from verification.deploy.process import REGION
from verification.deploy.stacks import ACCOUNT, Stacks, Template, resource, template

ROLE = f"arn:aws:iam::{ACCOUNT}:role/some-role"
FLOW = json.dumps({"StartAt": "End", "States": {"End": {"Type": "Succeed"}}})


def role(*services: str) -> Template:
    trust = {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"Service": [f"{service}.amazonaws.com" for service in services]},
                "Action": "sts:AssumeRole",
            }
        ],
    }
    properties = {"RoleName": "some-role", "AssumeRolePolicyDocument": trust}
    return resource("Role", "AWS::IAM::Role", properties)


def group() -> Template:
    return resource("Group", "AWS::Logs::LogGroup", {"LogGroupName": "/aws/vendedlogs/states/some"})


def machine(**change: Any) -> Template:
    logging = {
        "Level": "ALL",
        "Destinations": [
            {"CloudWatchLogsLogGroup": {"LogGroupArn": {"Fn::GetAtt": ["Group", "Arn"]}}}
        ],
    }
    properties = {
        "StateMachineName": "some-machine",
        "DefinitionString": FLOW,
        "RoleArn": ROLE,
        "LoggingConfiguration": logging,
    }
    kind = "AWS::StepFunctions::StateMachine"
    return resource("Machine", kind, properties | change, DependsOn=["Role"])


def rule(**change: Any) -> Template:
    target = {"Id": "Machine", "Arn": {"Ref": "Machine"}, "RoleArn": ROLE}
    properties = {
        "Name": "some-rule",
        "EventPattern": {"source": ["aws.s3"]},
        "Targets": [target],
    }
    return resource("Rule", "AWS::Events::Rule", properties | change, DependsOn=["Role"])


def test_a_rule_takes_another_pattern_and_target_in_place(stacks: Stacks) -> None:
    events = stacks.emulator.client("events")
    parts = role("events", "states"), group(), machine()
    assert stacks.deploy("rule", template(*parts, rule())) == "CREATE_COMPLETE"
    other = {"Id": "Other", "Arn": {"Ref": "Machine"}, "RoleArn": ROLE}

    changed = rule(EventPattern={"source": ["aws.glue"]}, Targets=[other])
    assert stacks.deploy("rule", template(*parts, changed)) == "UPDATE_COMPLETE"

    rule_state = events.describe_rule(Name="some-rule")
    (target,) = events.list_targets_by_rule(Rule="some-rule")["Targets"]
    assert json.loads(rule_state["EventPattern"]) == {"source": ["aws.glue"]}
    assert target["Id"] == "Other"
    assert stacks.delete("rule") == "DELETE_COMPLETE"
    assert events.list_rules()["Rules"] == []


def bus(*accounts: str) -> Template:
    statements = [
        {
            "Sid": f"From{account}",
            "Effect": "Allow",
            "Principal": {"AWS": f"arn:aws:iam::{account}:root"},
            "Action": "events:PutEvents",
            "Resource": f"arn:aws:events:{REGION}:{ACCOUNT}:event-bus/some-bus",
        }
        for account in accounts
    ]
    policy = {"Version": "2012-10-17", "Statement": statements}
    properties = {"Name": "some-bus", "Description": "some", "Policy": policy}
    return resource("Bus", "AWS::Events::EventBus", properties)


def test_a_bus_has_rules_of_its_own_and_another_policy_in_place(stacks: Stacks) -> None:
    events = stacks.emulator.client("events")
    parts = role("events", "states"), group(), machine()
    on_bus = rule(EventBusName={"Ref": "Bus"})
    assert stacks.deploy("bus", template(*parts, bus("1" * 12), on_bus)) == "CREATE_COMPLETE"
    assert [item["Name"] for item in events.list_rules(EventBusName="some-bus")["Rules"]] == [
        "some-rule"
    ]
    assert events.list_rules()["Rules"] == []

    changed = rule(EventBusName={"Ref": "Bus"}, EventPattern={"source": ["aws.glue"]})
    assert stacks.deploy("bus", template(*parts, bus("2" * 12), changed)) == "UPDATE_COMPLETE"
    (statement,) = json.loads(events.describe_event_bus(Name="some-bus")["Policy"])["Statement"]
    assert statement["Sid"] == f"From{'2' * 12}"
    (state,) = events.list_rules(EventBusName="some-bus")["Rules"]
    assert json.loads(state["EventPattern"]) == {"source": ["aws.glue"]}

    assert stacks.delete("bus") == "DELETE_COMPLETE"
    assert [item["Name"] for item in events.list_event_buses()["EventBuses"]] == ["default"]


def test_a_schedule_is_of_the_default_bus_alone(stacks: Stacks) -> None:
    scheduled = rule(EventBusName={"Ref": "Bus"}, ScheduleExpression="rate(1 day)")
    parts = role("events", "states"), group(), machine(), bus()
    assert stacks.deploy("scheduled", template(*parts, scheduled)) == "ROLLBACK_COMPLETE"


@pytest.mark.parametrize(
    ("services", "reason"),
    [
        (("events",), "states.amazonaws.com is not authorized to assume the provided role"),
        (("states",), "events.amazonaws.com is not authorized to assume the provided role"),
    ],
)
def test_a_role_that_the_service_may_not_assume_is_refused(
    stacks: Stacks, services: tuple[str, ...], reason: str
) -> None:
    body = template(role(*services), group(), machine(), rule())

    assert stacks.deploy("untrusted", body) == "ROLLBACK_COMPLETE"

    assert reason in stacks.failure("untrusted")
    stacks.delete("untrusted")


def test_a_log_group_that_is_not_there_is_refused(stacks: Stacks) -> None:
    arn = f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:/none:*"
    destination = {"CloudWatchLogsLogGroup": {"LogGroupArn": arn}}
    logging = {"Level": "ALL", "Destinations": [destination]}
    body = template(role("states"), machine(LoggingConfiguration=logging))

    assert stacks.deploy("unlogged", body) == "ROLLBACK_COMPLETE"

    assert "log destination not found" in stacks.failure("unlogged")
    stacks.delete("unlogged")


def test_a_queue_has_its_policy_until_that_goes(stacks: Stacks) -> None:
    sqs = stacks.emulator.client("sqs")
    queue = resource(
        "Queue", "AWS::SQS::Queue", {"QueueName": "some", "SqsManagedSseEnabled": True}
    )
    policy = resource(
        "Policy",
        "AWS::SQS::QueuePolicy",
        {
            "Queues": [{"Ref": "Queue"}],
            "PolicyDocument": {
                "Version": "2012-10-17",
                "Statement": [
                    {
                        "Effect": "Allow",
                        "Principal": {"Service": "events.amazonaws.com"},
                        "Action": "sqs:SendMessage",
                        "Resource": {"Fn::GetAtt": ["Queue", "Arn"]},
                    }
                ],
            },
        },
    )
    assert stacks.deploy("queue", template(queue, policy)) == "CREATE_COMPLETE"
    url = sqs.get_queue_url(QueueName="some")["QueueUrl"]
    read = {"QueueUrl": url, "AttributeNames": ["All"]}
    attributes = sqs.get_queue_attributes(**read)["Attributes"]
    arn = f"arn:aws:sqs:{REGION}:{ACCOUNT}:some"
    assert json.loads(attributes["Policy"])["Statement"][0]["Resource"] == arn
    assert attributes["SqsManagedSseEnabled"] == "true"

    assert stacks.deploy("queue", template(queue)) == "UPDATE_COMPLETE"

    assert not sqs.get_queue_attributes(**read)["Attributes"].get("Policy")
    assert stacks.delete("queue") == "DELETE_COMPLETE"


def test_an_alarm_changes_in_place(stacks: Stacks) -> None:
    def alarm(threshold: int) -> Template:
        properties = {
            "AlarmName": "some-alarm",
            "Namespace": "AWS/SQS",
            "MetricName": "ApproximateNumberOfMessagesVisible",
            "Statistic": "Maximum",
            "Period": 300,
            "EvaluationPeriods": 1,
            "Threshold": threshold,
            "ComparisonOperator": "GreaterThanThreshold",
        }
        return resource("Alarm", "AWS::CloudWatch::Alarm", properties)

    cloudwatch = stacks.emulator.client("cloudwatch")
    stacks.deploy("alarm", template(alarm(0)))
    assert stacks.deploy("alarm", template(alarm(3))) == "UPDATE_COMPLETE"

    (state,) = cloudwatch.describe_alarms(AlarmNames=["some-alarm"])["MetricAlarms"]
    assert state["Threshold"] == 3
    assert stacks.delete("alarm") == "DELETE_COMPLETE"
    assert cloudwatch.describe_alarms()["MetricAlarms"] == []


def test_a_bucket_tells_that_its_events_go_to_eventbridge(stacks: Stacks) -> None:
    notifications = {
        "NotificationConfiguration": {"EventBridgeConfiguration": {"EventBridgeEnabled": True}}
    }
    properties = {"BucketName": "some-raw", **notifications}
    stacks.deploy("telling", template(resource("Bucket", "AWS::S3::Bucket", properties)))

    s3 = stacks.emulator.client("s3")
    configuration = s3.get_bucket_notification_configuration(Bucket="some-raw")
    assert configuration["EventBridgeConfiguration"] == {}
    stacks.delete("telling")
