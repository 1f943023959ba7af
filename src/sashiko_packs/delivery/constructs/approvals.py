"""An environment's half of model delivery: its approvals go to the tools' account."""

from collections.abc import Sequence

from aws_cdk import aws_events as events
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from sashiko.account.delivery_names import approvals_bus_arn
from sashiko.account.names import model_package_group_name, prefix
from sashiko.settings.environment import Settings
from sashiko.settings.recipe import Recipe
from sashiko.settings.tools import Tools
from sashiko_cdk.events.state_machine import StateMachine
from sashiko_cdk.identity.allow import allow
from sashiko_cdk.identity.role_policy import RolePolicy
from sashiko_cdk.pack_parts import PipelineParts
from sashiko_cdk.platform.promotion import reading_models
from sashiko_cdk.stack import EnvironmentStack

__all__ = ["ApprovedModels"]


def approval_pattern(settings: Settings, groups: Sequence[str]) -> dict[str, object]:
    """Returns the pattern of the event that a version of an environment's groups was approved."""
    return {
        "source": ["aws.sagemaker"],
        "detail-type": ["SageMaker Model Package State Change"],
        "account": [settings.account],
        "detail": {
            "ModelPackageGroupName": list(groups),
            # Not while it is being made: SageMaker tells each of its states.
            "ModelPackageStatus": ["Completed"],
            "ModelApprovalStatus": ["Approved"],
        },
    }


def add_approvals(stack: EnvironmentStack, parts: PipelineParts) -> list[StateMachine]:
    """Adds what hands approvals over to the stack Pipeline, where a tools' account delivers."""
    if parts.deployment.tools:
        ApprovedModels(
            stack,
            "ApprovedModels",
            settings=stack.settings,
            recipes=parts.deployment.recipes,
            tools=parts.deployment.tools,
            undelivered=parts.flows.undelivered,
        )
    return []


class ApprovedModels(Construct):
    """Hands approvals over, and lets the tools' build verify the version.

    The build acts as `endpoint-deployer`, whose trust names it (`sashiko_cdk.identity.trust`).
    Where the tools are in another region no approval is handed over, because no role of the
    environment acts there: the build's daily run finds the version.
    """

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        settings: Settings,
        recipes: Sequence[Recipe],
        tools: Tools,
        undelivered: sqs.IQueue,
    ) -> None:
        """Makes the rule and the policies.

        Args:
            scope: the stack.
            id: the construct's.
            settings: the environment.
            recipes: whose models it serves.
            tools: the tools' account.
            undelivered: gets the approvals that EventBridge cannot hand over.
        """
        super().__init__(scope, id)
        RolePolicy(
            self,
            "Verifies",
            settings=settings,
            role="endpoint-deployer",
            description="Checks a version before a commit names it",
            statements=[
                *reading_models(settings),
                allow(
                    ["application-autoscaling:DescribeScalableTargets"],
                    ["*"],
                    why="Application Auto Scaling lists targets by no resource.",
                ),
            ],
        )
        if settings.region == tools.settings.region:
            self._hand_over(settings, recipes, approvals_bus_arn(tools), undelivered)

    def _hand_over(
        self, settings: Settings, recipes: Sequence[Recipe], bus: str, undelivered: sqs.IQueue
    ) -> None:
        """Sends approvals to the bus: "Sending events between AWS accounts", EventBridge."""
        policy = RolePolicy(
            self,
            "HandsOver",
            settings=settings,
            role="event-router",
            description="Hands approvals over to the tools' account",
            statements=[allow(["events:PutEvents"], [bus])],
        )
        groups = {model_package_group_name(settings, item.model_package_group) for item in recipes}
        rule = events.CfnRule(
            self,
            "Rule",
            name=f"{prefix(settings)}-model-delivery",
            description="An approved version starts the build that names it in config/",
            event_pattern=approval_pattern(settings, sorted(groups)),
            state="ENABLED",
            targets=[
                events.CfnRule.TargetProperty(
                    id="tools",
                    arn=bus,
                    role_arn=settings.role_arn("event-router"),
                    dead_letter_config=events.CfnRule.DeadLetterConfigProperty(
                        arn=undelivered.queue_arn
                    ),
                )
            ],
        )
        rule.node.add_dependency(policy)
