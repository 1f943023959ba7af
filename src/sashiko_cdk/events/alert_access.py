"""Access to the alerts topic for CloudWatch's alarms, and for the roles that write to it."""

from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_sns as sns
from constructs import Construct

from sashiko.account.names import prefix
from sashiko.settings.environment import Settings
from sashiko_cdk.identity.allow import allow
from sashiko_cdk.identity.role_policy import RolePolicy
from sashiko_cdk.identity.role_table import role_records

__all__ = ["AlertAccess"]


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
        place = f"arn:aws:cloudwatch:{settings.region}:{settings.account}"
        own_alarms = {
            "StringEquals": {"aws:SourceAccount": settings.account},
            "ArnLike": {"aws:SourceArn": f"{place}:alarm:{prefix(settings)}-*"},
        }
        cloudwatch = iam.ServicePrincipal("cloudwatch.amazonaws.com")
        topic.add_to_resource_policy(
            iam.PolicyStatement(
                sid="AlertsOfAlarms",
                principals=[cloudwatch],
                actions=["sns:Publish"],
                resources=[topic.topic_arn],
                conditions=own_alarms,
            )
        )
        use = ["kms:Decrypt", "kms:GenerateDataKey"]
        key.add_to_resource_policy(
            iam.PolicyStatement(
                sid="AlertsOfAlarms",
                principals=[cloudwatch],
                actions=use,
                resources=["*"],  # of a key's policy: the key itself
                conditions=own_alarms,
            )
        )
        publishers = (one.name for one in role_records(settings) if one.publishes_alerts)
        for role in publishers:
            RolePolicy(
                self,
                role.title().replace("-", ""),
                settings=settings,
                role=role,
                description="Publishes alerts",
                statements=[
                    allow(["sns:Publish"], [topic.topic_arn]),
                    allow(
                        use,
                        [key.key_arn],
                        conditions={
                            "StringEquals": {
                                "kms:ViaService": f"sns.{settings.region}.amazonaws.com"
                            }
                        },
                    ),
                ],
            )
