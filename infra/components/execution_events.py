"""What CloudFormation may do to rules of EventBridge, state machines, their queue and alarms."""

from infra.components.allow import Allowed, allow
from infra.components.execution_scope import NAMED
from sashiko.aws.names import arn
from sashiko.settings import Settings


def events(settings: Settings) -> list[Allowed]:
    """Returns what rules, state machines, queues and alarms take; it starts and sends nothing."""
    project = settings.project
    return [
        allow(
            [
                "events:DeleteRule",
                "events:DescribeRule",
                "events:ListTagsForResource",
                "events:ListTargetsByRule",
                "events:PutRule",
                "events:PutTargets",
                "events:RemoveTargets",
                "events:TagResource",
                "events:UntagResource",
            ],
            [arn(settings, "events", f"rule/{project}-*")],
            why=NAMED,
        ),
        allow(
            [
                "states:CreateStateMachine",
                "states:DeleteStateMachine",
                "states:DescribeStateMachine",
                "states:ListTagsForResource",
                "states:TagResource",
                "states:UntagResource",
                "states:UpdateStateMachine",
            ],
            [arn(settings, "states", f"stateMachine:{project}-*")],
            why=NAMED,
        ),
        allow(
            [
                "sqs:CreateQueue",
                "sqs:DeleteQueue",
                "sqs:GetQueueAttributes",
                "sqs:GetQueueUrl",
                "sqs:ListQueueTags",
                "sqs:SetQueueAttributes",
                "sqs:TagQueue",
                "sqs:UntagQueue",
            ],
            [arn(settings, "sqs", f"{project}-*")],
            why=NAMED,
        ),
        allow(
            [
                "cloudwatch:ListTagsForResource",
                "cloudwatch:TagResource",
                "cloudwatch:UntagResource",
            ],
            [arn(settings, "cloudwatch", f"alarm:{project}-*")],
            why=NAMED,
        ),
    ]
