"""What the environment may cost a month, and who hears when it does."""

from typing import Any, cast

from aws_cdk import aws_budgets as budgets
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_sns as sns
from constructs import Construct

from sashiko.account.names import alerts_topic_name, prefix
from sashiko.settings.environment import Settings

__all__ = ["Spending"]

_Budget = budgets.CfnBudget
# Kind of alert -> percent of the amount.
_ALERTS = {"ACTUAL": 80, "FORECASTED": 100}


class Spending(Construct):
    """A budget whose alerts go to a topic.

    CloudFormation cannot change a budget's subscribers but by replacing it, under a name that is
    taken: so the one subscriber is the topic, and people subscribe to that.
    """

    def __init__(self, scope: Construct, id: str, *, settings: Settings, key: kms.IKey) -> None:
        """Makes the topic and the budget; `key` encrypts what the topic holds."""
        super().__init__(scope, id)
        self.topic = sns.Topic(
            self,
            "Topic",
            topic_name=alerts_topic_name(settings),
            master_key=key,
            enforce_ssl=True,
        )
        # Not resources of their own, whose ARNs SNS makes up and no policy could name.
        subscription = sns.CfnTopic.SubscriptionProperty
        cast(sns.CfnTopic, self.topic.node.default_child).subscription = [
            subscription(protocol="email", endpoint=email) for email in settings.alerts.emails
        ] or None
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
        budget = self._budget(settings)
        # Budgets looks whether it may publish.
        budget.node.add_dependency(self.topic)

    def _budget(self, settings: Settings) -> budgets.CfnBudget:
        spend = _Budget.SpendProperty(amount=settings.budget.amount, unit="USD")
        return _Budget(
            self,
            "Budget",
            budget=_Budget.BudgetDataProperty(
                budget_name=prefix(settings),
                budget_type="COST",
                time_unit="MONTHLY",
                budget_limit=spend,
                **(_tagged(settings) if settings.budget.covers == "environment" else {}),
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


def _tagged(settings: Settings) -> dict[str, Any]:
    """Narrows a budget to what carries both tags of the environment."""
    tags = {"project": settings.project, "environment": settings.environment}
    expression = _Budget.ExpressionProperty
    filters = [
        expression(tags=_Budget.TagValuesProperty(key=key, values=[value]))
        for key, value in tags.items()
    ]
    return {"filter_expression": expression(and_=filters), "metrics": ["UnblendedCost"]}
