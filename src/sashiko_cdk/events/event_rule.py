"""A rule of EventBridge that starts a state machine."""

from collections.abc import Mapping
from typing import Any

from aws_cdk import aws_events as events
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from sashiko.aws.resources.names import prefix
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
        pattern: Mapping[str, Any],
        target: StateMachine,
        undelivered: sqs.IQueue,
        with_reads: bool = False,
    ) -> None:
        """Makes the rule.

        Args:
            scope: the construct that it is a part of.
            id: the construct's id.
            settings: the environment.
            name: its name behind the environment's prefix.
            description: the event, as text for the console.
            pattern: the event pattern.
            target: the state machine.
            undelivered: the dead-letter queue.
            with_reads: whether read-only management events match, such as AssumeRole
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
            state="ENABLED_WITH_ALL_CLOUDTRAIL_MANAGEMENT_EVENTS" if with_reads else "ENABLED",
            targets=[target_of],
        )
        rule.add_resource_dependency(target.resource)
