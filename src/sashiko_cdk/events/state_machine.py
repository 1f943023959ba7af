"""State machines of Step Functions, and EventBridge's rules that start one or call a function."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from aws_cdk import aws_events as events
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from aws_cdk import aws_sqs as sqs
from aws_cdk import aws_stepfunctions as sfn
from constructs import Construct

from sashiko.account.names import Role, arn, prefix
from sashiko.settings.environment import Settings
from sashiko_cdk.identity.allow import Allowed, RolePolicy
from sashiko_cdk.security_rules.acknowledge import acknowledge


class StateMachine(Construct):
    """A standard state machine under a fixed name, with a log, and what its role may do for it.

    Standard ones tell EventBridge how they end, and keep each execution's history for 90 days.
    """

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        settings: Settings,
        name: str,
        role: Role,
        definition: Mapping[str, Any],
        log: logs.LogGroup,
        allowed: Sequence[Allowed],
        description: str,
    ) -> None:
        super().__init__(scope, id)
        self.machine_name = f"{prefix(settings)}-{name}"
        self.arn = arn(settings, "states", f"stateMachine:{self.machine_name}")
        policy = RolePolicy(self, "Access", settings, role, allowed, description=description)
        machine = sfn.CfnStateMachine
        group = machine.CloudWatchLogsLogGroupProperty(log_group_arn=log.log_group_arn)
        self.resource = machine(
            self,
            "Resource",
            state_machine_name=self.machine_name,
            state_machine_type="STANDARD",
            role_arn=settings.role_arn(role),
            definition_string=json.dumps(definition, indent=1),
            logging_configuration=machine.LoggingConfigurationProperty(
                level="ALL",
                include_execution_data=True,
                destinations=[machine.LogDestinationProperty(cloud_watch_logs_log_group=group)],
            ),
        )
        self.resource.node.add_dependency(policy)
        acknowledge(
            self.resource,
            {
                "SF2": "A chain of three calls, whose execution history shows each with its time "
                "and answer; traces would add a service to the roles' boundary."
            },
        )


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
        queue = events.CfnRule.DeadLetterConfigProperty(arn=undelivered.queue_arn)
        rule = events.CfnRule(
            self,
            "Resource",
            name=f"{prefix(settings)}-{name}",
            description=description,
            event_pattern=pattern,
            schedule_expression=schedule,
            state="ENABLED_WITH_ALL_CLOUDTRAIL_MANAGEMENT_EVENTS" if with_reads else "ENABLED",
            targets=[
                events.CfnRule.TargetProperty(
                    id=target.node.id,
                    arn=target.arn,
                    role_arn=settings.role_arn("event-router"),
                    dead_letter_config=queue,
                )
            ],
        )
        rule.add_resource_dependency(target.resource)


class FunctionRule(Construct):
    """A rule on the default bus, and its own permission to call a function of this project."""

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        settings: Settings,
        name: str,
        description: str,
        function: lambda_.IFunction,
        pattern: Mapping[str, Any] | None = None,
        schedule: str | None = None,
        event: Mapping[str, Any] | None = None,
    ) -> None:
        """As `EventRule`; the function's input is `event`, or None for the event itself."""
        super().__init__(scope, id)
        given = json.dumps(event, sort_keys=True) if event else None
        target = events.CfnRule.TargetProperty(
            id="function", arn=function.function_arn, input=given
        )
        rule = events.CfnRule(
            self,
            "Default",
            name=name,
            description=description,
            event_pattern=pattern,
            schedule_expression=schedule,
            state="ENABLED",
            targets=[target],
        )
        lambda_.CfnPermission(
            self,
            "Calls",
            action="lambda:InvokeFunction",
            function_name=function.function_name,
            principal="events.amazonaws.com",
            source_account=settings.account,
            source_arn=rule.attr_arn,
        )
