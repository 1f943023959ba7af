"""What the environment may cost a month, and the topic of alerts: who hears, who writes to it."""

from collections.abc import Sequence
from typing import Any, cast

from aws_cdk import aws_budgets as budgets
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_sns as sns
from constructs import Construct

from sashiko.account.names import alerts_topic_name, arn, prefix
from sashiko.settings.environment import Settings
from sashiko_cdk.identity.allow import Allowed, RolePolicy, allow
from sashiko_cdk.identity.role_table import role_records

__all__ = ["AlertAccess", "Spending"]

_Budget = budgets.CfnBudget
# Kind of alert -> percent of the amount.
_ALERTS = {"ACTUAL": 80, "FORECASTED": 100}


def alerts_topic(
    scope: Construct, id: str, settings: Settings, *, key: kms.IKey, emails: Sequence[str]
) -> sns.Topic:
    """Makes the topic; its subscriptions are part of it.

    As resources of their own they would have ARNs that SNS makes up and no policy could name.
    """
    name = alerts_topic_name(settings)
    topic = sns.Topic(scope, id, topic_name=name, master_key=key, enforce_ssl=True)
    cast(sns.CfnTopic, topic.node.default_child).subscription = [
        sns.CfnTopic.SubscriptionProperty(protocol="email", endpoint=email) for email in emails
    ] or None
    return topic


def publishing(settings: Settings, topic: sns.ITopic, key: kms.IKey) -> list[Allowed]:
    """Returns what a role needs to publish to an encrypted topic."""
    through = {"StringEquals": {"kms:ViaService": f"sns.{settings.region}.amazonaws.com"}}
    return [
        allow(["sns:Publish"], [topic.topic_arn]),
        allow(["kms:Decrypt", "kms:GenerateDataKey"], [key.key_arn], conditions=through),
    ]


class AlertAccess(Construct):
    """Lets the environment's alarms, and the roles that publish, use the topic and its key.

    EventBridge has no access: it sends neither account nor rule when it writes to an encrypted
    topic (SNS Developer Guide, "Key management"), so a key policy cannot distinguish another
    account's rules. It hands events to the notifier, which has a role.
    """

    def __init__(
        self, scope: Construct, id: str, *, settings: Settings, topic: sns.Topic, key: kms.Key
    ) -> None:
        """Adds to the policies of `topic` and `key`, and to the roles."""
        super().__init__(scope, id)
        alarms = arn(settings, "cloudwatch", f"alarm:{prefix(settings)}-*")
        for resource, arns, actions in (
            (topic, [topic.topic_arn], ["sns:Publish"]),
            (key, ["*"], ["kms:Decrypt", "kms:GenerateDataKey"]),  # `*` is the key itself
        ):
            resource.add_to_resource_policy(
                iam.PolicyStatement(
                    sid="AlertsOfAlarms",
                    principals=[iam.ServicePrincipal("cloudwatch.amazonaws.com")],
                    actions=actions,
                    resources=arns,
                    conditions={
                        "StringEquals": {"aws:SourceAccount": settings.account},
                        "ArnLike": {"aws:SourceArn": alarms},
                    },
                )
            )
        publishers = (one.name for one in role_records(settings) if one.publishes_alerts)
        for role in publishers:
            id_ = role.title().replace("-", "")
            statements = publishing(settings, topic, key)
            RolePolicy(self, id_, settings, role, statements, description="Publishes alerts")


class Spending(Construct):
    """A budget whose alerts go to a topic.

    CloudFormation cannot change a budget's subscribers but by replacing it, under a name that is
    taken: so the one subscriber is the topic, and people subscribe to that.
    """

    def __init__(self, scope: Construct, id: str, *, settings: Settings, key: kms.IKey) -> None:
        """Makes the topic and the budget; `key` encrypts what the topic holds."""
        super().__init__(scope, id)
        emails = settings.alerts.emails
        self.topic = alerts_topic(self, "Topic", settings, key=key, emails=emails)
        self.topic.add_to_resource_policy(
            iam.PolicyStatement(
                sid="AlertsOfBudgets",
                principals=[iam.ServicePrincipal("budgets.amazonaws.com")],
                actions=["sns:Publish"],
                resources=[self.topic.topic_arn],
                conditions={
                    "StringEquals": {"aws:SourceAccount": settings.account},
                    "ArnLike": {"aws:SourceArn": f"arn:aws:budgets::{settings.account}:*"},
                },
            )
        )
        tagged: dict[str, Any] = {}
        if settings.budget.covers == "environment":  # what carries both tags of the environment
            tags = {"project": settings.project, "environment": settings.environment}
            filters = [
                _Budget.ExpressionProperty(tags=_Budget.TagValuesProperty(key=key, values=[value]))
                for key, value in tags.items()
            ]
            both = _Budget.ExpressionProperty(and_=filters)
            tagged = {"filter_expression": both, "metrics": ["UnblendedCost"]}
        budget = _Budget(
            self,
            "Budget",
            budget=_Budget.BudgetDataProperty(
                budget_name=prefix(settings),
                budget_type="COST",
                time_unit="MONTHLY",
                budget_limit=_Budget.SpendProperty(amount=settings.budget.amount, unit="USD"),
                **tagged,
            ),
            notifications_with_subscribers=[
                _Budget.NotificationWithSubscribersProperty(
                    notification=_Budget.NotificationProperty(
                        comparison_operator="GREATER_THAN",
                        notification_type=kind,
                        threshold=percent,
                        threshold_type="PERCENTAGE",
                    ),
                    subscribers=[
                        _Budget.SubscriberProperty(
                            address=self.topic.topic_arn, subscription_type="SNS"
                        )
                    ],
                )
                for kind, percent in _ALERTS.items()
            ],
        )
        # Budgets looks whether it may publish.
        budget.node.add_dependency(self.topic)
