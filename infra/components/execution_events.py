"""What CloudFormation may do to rules of EventBridge, state machines, their queue and alarms."""

from infra.components.allow import Allowed, allow
from sashiko.settings import Settings

_NAMED = "All names of the project begin with its prefix; environments are not known here."


def events(settings: Settings) -> list[Allowed]:
    """Returns what rules, state machines, queues and alarms take; it starts and sends nothing."""
    place, project = f"{settings.region}:{settings.account}", settings.project
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
            [f"arn:aws:events:{place}:rule/{project}-*"],
            why=_NAMED,
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
            [f"arn:aws:states:{place}:stateMachine:{project}-*"],
            why=_NAMED,
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
            [f"arn:aws:sqs:{place}:{project}-*"],
            why=_NAMED,
        ),
        allow(
            [
                "cloudwatch:ListTagsForResource",
                "cloudwatch:TagResource",
                "cloudwatch:UntagResource",
            ],
            [f"arn:aws:cloudwatch:{place}:alarm:{project}-*"],
            why=_NAMED,
        ),
    ]
