"""Shared by all rules and state machines: a log, a dead-letter queue, alarms."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from aws_cdk import Duration, RemovalPolicy
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_events as events
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_sqs as sqs
from aws_cdk import aws_stepfunctions as sfn
from constructs import Construct

from sashiko.account.names import Role, alerts_topic_arn, arn, prefix
from sashiko.settings.environment import Settings
from sashiko_cdk.identity.allow import Allowed, RolePolicy, allow
from sashiko_cdk.lake.domain_key import log_group
from sashiko_cdk.security_rules.acknowledge import acknowledge

__all__ = ["EventFlows"]

# Step Functions may write below this path without a policy that grows with each group.
FLOW_LOG_GROUPS: Final = "/aws/vendedlogs/states/"
_OWN_KEY: Final = (
    "EventBridge writes to it as itself, and AWS documents no condition by which a customer's "
    "key could tell for whom: the key would be open to any account's rules. SQS's own key "
    "protects names and ARNs, no data."
)


class StateMachine(Construct):
    """A standard state machine under a fixed name: see `EventFlows.add_machine`.

    Standard ones tell EventBridge how they end, and keep each execution's history for 90 days.
    """

    resource: sfn.CfnStateMachine

    def __init__(self, scope: Construct, id: str, *, settings: Settings, name: str) -> None:
        super().__init__(scope, id)
        self.machine_name = f"{prefix(settings)}-{name}"
        self.arn = arn(settings, "states", f"stateMachine:{self.machine_name}")


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
        """Makes the rule, of events of `pattern` or by `schedule`, such as `rate(1 hour)`.

        The function's input is `event`, or None for the event itself.
        """
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


def add_alarm(
    scope: Construct, id: str, *, dimensions: Mapping[str, str], **properties: Any
) -> cloudwatch.CfnAlarm:
    """Makes an alarm on a figure that is too large, unless `properties` say otherwise."""
    dimension = cloudwatch.CfnAlarm.DimensionProperty
    return cloudwatch.CfnAlarm(
        scope,
        id,
        dimensions=[dimension(name=key, value=value) for key, value in dimensions.items()],
        **{
            "comparison_operator": "GreaterThanThreshold",
            "treat_missing_data": "notBreaching",
            **properties,
        },
    )


class EventFlows(Construct):
    """The log, the dead-letter queue and the alarms, so that no event is lost silently."""

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        settings: Settings,
        logs_key: kms.IKey,
        removal_policy: RemovalPolicy,
    ) -> None:
        """Makes log, queue and the queue's alarm; `logs_key` encrypts the log."""
        super().__init__(scope, id)
        self._settings = settings
        name = f"{FLOW_LOG_GROUPS}{prefix(settings)}-flows"
        self.log = log_group(self, "Log", name, key=logs_key, removal_policy=removal_policy)
        self.undelivered = sqs.Queue(
            self,
            "Undelivered",
            queue_name=f"{prefix(settings)}-undelivered-events",
            encryption=sqs.QueueEncryption.SQS_MANAGED,
            enforce_ssl=True,
            retention_period=Duration.days(14),
        )
        rules = arn(settings, "events", f"rule/{prefix(settings)}-*")
        self.undelivered.add_to_resource_policy(
            iam.PolicyStatement(
                sid="EventsThatCouldNotBeDelivered",
                principals=[iam.ServicePrincipal("events.amazonaws.com")],
                actions=["sqs:SendMessage"],
                resources=[self.undelivered.queue_arn],
                conditions={
                    "StringEquals": {"aws:SourceAccount": settings.account},
                    "ArnLike": {"aws:SourceArn": rules},
                },
            )
        )
        acknowledge(
            self.undelivered,
            {
                "SQS3": "It is the dead-letter queue, of EventBridge's rules.",
                "CKV_AWS_27": _OWN_KEY,
                "customer-key": _OWN_KEY,
            },
        )
        self.alarm(
            "undelivered",
            "EventBridge could not hand an event over: docs/events.md says how to give it again",
            namespace="AWS/SQS",
            metric="ApproximateNumberOfMessagesVisible",
            dimensions={"QueueName": self.undelivered.queue_name},
            statistic="Maximum",
        )

    def alarm(
        self,
        name: str,
        description: str,
        *,
        namespace: str,
        metric: str,
        dimensions: dict[str, str],
        statistic: str = "Sum",
    ) -> None:
        """Makes an alarm that notifies the alerts topic if `metric` is not zero in five minutes."""
        add_alarm(
            self,
            f"Alarm-{name}",
            dimensions=dimensions,
            alarm_name=f"{prefix(self._settings)}-events-{name}",
            alarm_description=description,
            namespace=namespace,
            metric_name=metric,
            statistic=statistic,
            period=300,
            evaluation_periods=1,
            threshold=0,
            alarm_actions=[alerts_topic_arn(self._settings)],
        )

    def add_machine(
        self,
        scope: Construct,
        id: str,
        *,
        name: str,
        role: Role,
        definition: Mapping[str, Any],
        allowed: Sequence[Allowed],
        description: str,
    ) -> StateMachine:
        """Makes a state machine that writes to the log; `role` is allowed what it needs for it."""
        made = StateMachine(scope, id, settings=self._settings, name=name)
        policy = RolePolicy(made, "Access", self._settings, role, allowed, description=description)
        machine = sfn.CfnStateMachine
        group = machine.CloudWatchLogsLogGroupProperty(log_group_arn=self.log.log_group_arn)
        made.resource = machine(
            made,
            "Resource",
            state_machine_name=made.machine_name,
            state_machine_type="STANDARD",
            role_arn=self._settings.role_arn(role),
            definition_string=json.dumps(definition, indent=1),
            logging_configuration=machine.LoggingConfigurationProperty(
                level="ALL",
                include_execution_data=True,
                destinations=[machine.LogDestinationProperty(cloud_watch_logs_log_group=group)],
            ),
        )
        made.resource.node.add_dependency(policy)
        acknowledge(
            made.resource,
            {
                "SF2": "A chain of three calls, whose execution history shows each with its time "
                "and answer; traces would add a service to the roles' boundary."
            },
        )
        return made

    def add_rule(
        self,
        scope: Construct,
        id: str,
        *,
        name: str,
        description: str,
        source: str,
        kind: str,
        detail: Mapping[str, Any],
        target: StateMachine,
        with_reads: bool = False,
    ) -> None:
        """Makes a rule of the events of a source and kind whose detail matches.

        `with_reads` lets read-only management events match too, such as AssumeRole
        (eb-service-event-cloudtrail-management.html of the EventBridge User Guide).
        """
        pattern = {"source": [source], "detail-type": [kind], "detail": detail}
        state = "ENABLED_WITH_ALL_CLOUDTRAIL_MANAGEMENT_EVENTS" if with_reads else "ENABLED"
        rule = Construct(scope, id)
        self._rule(rule, name, description, target, event_pattern=pattern, state=state)

    def add_schedule(
        self,
        scope: Construct,
        id: str,
        *,
        name: str,
        description: str,
        schedule: str,
        target: StateMachine,
    ) -> None:
        """Makes a rule by a schedule, such as `rate(1 hour)`."""
        self._rule(Construct(scope, id), name, description, target, schedule_expression=schedule)

    def _rule(
        self, scope: Construct, name: str, description: str, target: StateMachine, **on: Any
    ) -> None:
        """Makes a rule; events that fail for a day of retries go to the queue."""
        queue = events.CfnRule.DeadLetterConfigProperty(arn=self.undelivered.queue_arn)
        rule = events.CfnRule(
            scope,
            "Resource",
            name=f"{prefix(self._settings)}-{name}",
            description=description,
            targets=[
                events.CfnRule.TargetProperty(
                    id=target.node.id,
                    arn=target.arn,
                    role_arn=self._settings.role_arn("event-router"),
                    dead_letter_config=queue,
                )
            ],
            **{"state": "ENABLED", **on},
        )
        rule.add_resource_dependency(target.resource)

    def route(self, machines: Sequence[StateMachine]) -> None:
        """Lets EventBridge start these machines only."""
        starting = [allow(["states:StartExecution"], [machine.arn for machine in machines])]
        why = "Starts the state machines of the environment's rules"
        RolePolicy(self, "Router", self._settings, "event-router", starting, description=why)
