"""A rule of EventBridge that starts a state machine."""

from collections.abc import Mapping
from typing import Any

from aws_cdk import aws_events as events
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from sashiko.account.names import prefix
from sashiko.settings.environment import Settings
from sashiko_cdk.events.state_machine import StateMachine


class EventRule(Construct):
    """A rule on the default bus. Events that fail for a day of retries go to a queue."""

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        settings: Settings,
        name: str,
        description: str,
        target: StateMachine,
        undelivered: sqs.IQueue,
        pattern: Mapping[str, Any] | None = None,
        schedule: str | None = None,
        with_reads: bool = False,
    ) -> None:
        """Makes the rule, of events of `pattern` or by `schedule`, such as `rate(1 hour)`.

        `with_reads` lets read-only management events match too, such as AssumeRole
        (eb-service-event-cloudtrail-management.html of the EventBridge User Guide).
        """
        super().__init__(scope, id)
        target_of = events.CfnRule.TargetProperty(
            id=target.node.id,
            arn=target.arn,
            role_arn=settings.role_arn("event-router"),
            dead_letter_config=events.CfnRule.DeadLetterConfigProperty(arn=undelivered.queue_arn),
        )
        rule = events.CfnRule(
            self,
            "Resource",
            name=f"{prefix(settings)}-{name}",
            description=description,
            event_pattern=pattern,
            schedule_expression=schedule,
            state="ENABLED_WITH_ALL_CLOUDTRAIL_MANAGEMENT_EVENTS" if with_reads else "ENABLED",
            targets=[target_of],
        )
        rule.add_resource_dependency(target.resource)
