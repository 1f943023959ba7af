"""What the topic of a delivery hears of a failed action: CodePipeline's event, as a message."""

import json

import jmespath
import pytest
from moto.events.models import EventPattern

from tests.infra.delivery import delivery_template
from tests.infra.variants import some


def _failed(stage, category):
    """An action that failed ("Monitoring CodePipeline events", CodePipeline User Guide)."""
    return {
        "version": "0",
        "id": "01234567-EXAMPLE",
        "detail-type": "CodePipeline Action Execution State Change",
        "source": "aws.codepipeline",
        "account": "777788889999",
        "time": "2020-01-31T18:55:43Z",
        "region": "us-east-1",
        "resources": ["arn:aws:codepipeline:us-east-1:777788889999:sashiko-delivery"],
        "detail": {
            "pipeline": "sashiko-delivery",
            "execution-id": "12345678-1234-5678-abcd-12345678abcd",
            "stage": stage,
            "execution-result": {
                "external-execution-url": "https://us-west-2.console.aws.amazon.com/codesuite",
                "external-execution-summary": "Build terminated with state: FAILED",
                "external-execution-id": "sashiko:01234567",
                "error-code": "JobFailed",
            },
            "action": "an-action",
            "state": "FAILED",
            "region": "us-east-1",
            "type": {"owner": "AWS", "category": category, "provider": "Any", "version": "1"},
            "version": 2.0,
            "pipeline-execution-attempt": 1.0,
        },
    }


def _messages(event):
    """What the rules make of an event, and the role that publishes it."""
    for rule in some(delivery_template(), "AWS::Events::Rule").values():
        pattern = rule["Properties"].get("EventPattern")
        if not pattern or not EventPattern.load(json.dumps(pattern)).matches_event(event):
            continue
        (target,) = rule["Properties"]["Targets"]
        transformer = target["InputTransformer"]
        message = json.loads(transformer["InputTemplate"])
        for name, path in transformer["InputPathsMap"].items():
            quoted = ".".join(f'"{key}"' for key in path.removeprefix("$.").split("."))
            message = message.replace(f"<{name}>", jmespath.search(quoted, event))
        yield message


@pytest.mark.parametrize("category", ["Source", "Build", "Approval"])
def test_each_failure_is_one_message_with_the_next_command(category):
    event = _failed("Source" if category == "Source" else "prod-deploy", category)
    (message,) = _messages(event)
    assert "<" not in message
    assert f"{event['detail']['stage']} failed: Build terminated" in message
    command = message.rpartition(": ")[2]
    if category == "Source":
        assert command == (
            "aws codepipeline start-pipeline-execution --name sashiko-delivery --region us-east-1"
        )
        assert "sashiko doctor --all" in message
    else:
        assert command == (
            "aws codepipeline retry-stage-execution --pipeline-name sashiko-delivery "
            "--stage-name prod-deploy --pipeline-execution-id 12345678-1234-5678-abcd-12345678abcd "
            "--retry-mode FAILED_ACTIONS --region us-east-1"
        )

    other = {**event, "detail": {**event["detail"], "pipeline": "another"}}
    succeeded = {**event, "detail": {**event["detail"], "state": "SUCCEEDED"}}
    assert [*_messages(other), *_messages(succeeded)] == []


def test_the_role_of_the_rules_publishes_and_does_nothing_else():
    roles = [role["Properties"] for role in some(delivery_template(), "AWS::IAM::Role").values()]
    (role,) = (role for role in roles if role["RoleName"] == "sashiko-delivery-failures")
    (trust,) = role["AssumeRolePolicyDocument"]["Statement"]
    assert trust["Principal"] == {"Service": "events.amazonaws.com"}
    assert trust["Condition"]["ArnLike"] == {
        "aws:SourceArn": "arn:aws:events:us-east-1:777788889999:rule/sashiko-delivery-*-failed"
    }
    (policy,) = role["Policies"]
    actions = [item["Action"] for item in policy["PolicyDocument"]["Statement"]]
    assert actions == ["sns:Publish", ["kms:Decrypt", "kms:GenerateDataKey"]]
