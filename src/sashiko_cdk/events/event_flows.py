"""Shared by all rules and state machines: a log, a dead-letter queue, alarms."""

from collections.abc import Sequence
from typing import Final

from aws_cdk import Duration, RemovalPolicy
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_logs as logs
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from sashiko.account.names import alerts_topic_arn, prefix
from sashiko.settings.environment import Settings
from sashiko_cdk.events.state_machine import StateMachine
from sashiko_cdk.identity.allow import allow
from sashiko_cdk.identity.role_policy import RolePolicy
from sashiko_cdk.security_rules.acknowledge import acknowledge

__all__ = ["EventFlows"]

# Step Functions may write below this path without a policy that grows with each group.
FLOW_LOG_GROUPS: Final = "/aws/vendedlogs/states/"
_OWN_KEY: Final = (
    "EventBridge writes to it as itself, and AWS does not say that it then tells a customer's key "
    "for whom: the key would be open to any account's rules. Under SQS's own key lie names and "
    "ARNs, no data."
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
        self.log = logs.LogGroup(
            self,
            "Log",
            log_group_name=f"{FLOW_LOG_GROUPS}{prefix(settings)}-flows",
            retention=logs.RetentionDays.ONE_YEAR,
            encryption_key=logs_key,
            removal_policy=removal_policy,
        )
        self.undelivered = self._queue()
        self.alarm(
            "undelivered",
            "EventBridge could not hand an event over: docs/events.md says how to give it again",
            namespace="AWS/SQS",
            metric="ApproximateNumberOfMessagesVisible",
            dimensions={"QueueName": self.undelivered.queue_name},
            statistic="Maximum",
        )

    def _queue(self) -> sqs.Queue:
        settings = self._settings
        queue = sqs.Queue(
            self,
            "Undelivered",
            queue_name=f"{prefix(settings)}-undelivered-events",
            encryption=sqs.QueueEncryption.SQS_MANAGED,
            enforce_ssl=True,
            retention_period=Duration.days(14),
        )
        queue.add_to_resource_policy(
            iam.PolicyStatement(
                sid="EventsThatCouldNotBeDelivered",
                principals=[iam.ServicePrincipal("events.amazonaws.com")],
                actions=["sqs:SendMessage"],
                resources=[queue.queue_arn],
                conditions={
                    "StringEquals": {"aws:SourceAccount": settings.account},
                    "ArnLike": {
                        "aws:SourceArn": f"arn:aws:events:{settings.region}:{settings.account}"
                        f":rule/{prefix(settings)}-*"
                    },
                },
            )
        )
        acknowledge(
            queue,
            {
                "SQS3": "It is the dead-letter queue, of EventBridge's rules.",
                "CKV_AWS_27": _OWN_KEY,
                "customer-key": _OWN_KEY,
            },
        )
        return queue

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
        topic = alerts_topic_arn(self._settings)
        dimension = cloudwatch.CfnAlarm.DimensionProperty
        cloudwatch.CfnAlarm(
            self,
            f"Alarm-{name}",
            alarm_name=f"{prefix(self._settings)}-events-{name}",
            alarm_description=description,
            namespace=namespace,
            metric_name=metric,
            dimensions=[dimension(name=key, value=value) for key, value in dimensions.items()],
            statistic=statistic,
            period=300,
            evaluation_periods=1,
            threshold=0,
            comparison_operator="GreaterThanThreshold",
            treat_missing_data="notBreaching",
            alarm_actions=[topic],
        )

    def route(self, machines: Sequence[StateMachine]) -> None:
        """Lets EventBridge start these machines only."""
        RolePolicy(
            self,
            "Router",
            settings=self._settings,
            role="event-router",
            description="Starts the state machines of the environment's rules",
            statements=[allow(["states:StartExecution"], [item.arn for item in machines])],
        )
