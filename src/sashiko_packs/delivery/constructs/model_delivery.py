"""Model delivery in the tools' account: an approval starts the build that proposes the change."""

import json
from typing import Final

from aws_cdk import RemovalPolicy
from aws_cdk import aws_events as events
from aws_cdk import aws_iam as iam
from constructs import Construct

from sashiko.account.delivery_names import approvals_bus_arn, approvals_bus_name, model_build_name
from sashiko.account.names import arn, model_package_group_name, prefix
from sashiko.pipeline.project import choose_recipe
from sashiko.settings.environment import Settings
from sashiko.settings.tools import Tools
from sashiko_cdk.identity.trust import service
from sashiko_cdk.security_rules.acknowledge import acknowledge
from sashiko_packs.delivery.constructs.approvals import approval_pattern
from sashiko_packs.delivery.constructs.model_build import INLINE, ModelBuild
from sashiko_packs.delivery.constructs.parts import Stores

_DAILY: Final = "rate(1 day)"


class ModelDelivery(Construct):
    """The bus of the environments' approvals, their rules, and the build.

    The build takes nothing from an event: which environment is meant follows from the rule, and
    which version from the registry. So an event that is lost, late or sent twice does no harm: each
    day the build looks by itself.
    """

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        tools: Tools,
        stores: Stores,
        boundary: iam.IManagedPolicy,
        removal_policy: RemovalPolicy,
    ) -> None:
        """Makes all of it.

        Args:
            scope: the stack in the tools' account.
            id: the construct's.
            tools: the tools' account, and the environments.
            stores: the key of the log, and the topic that hears of a branch and of a failure.
            boundary: of the roles.
            removal_policy: of the log.
        """
        super().__init__(scope, id)
        self._tools = tools
        self._name = model_build_name(tools)
        build = ModelBuild(
            self,
            "Build",
            tools=tools,
            stores=stores,
            boundary=boundary,
            removal_policy=removal_policy,
        )
        starter = self._starter(boundary)
        bus = self._bus()
        for stage in tools.stages:
            group = model_package_group_name(stage, choose_recipe(stage, None).model_package_group)
            target = self._target(stage, starter)
            rule = events.CfnRule(
                self,
                f"Approved-{stage.environment}",
                name=f"{self._name}-{stage.environment}",
                description=f"An approved version of {stage.environment} starts its delivery",
                event_bus_name=bus.name,
                event_pattern=approval_pattern(stage, [group]),
                state="ENABLED",
                targets=[target],
            )
            rule.add_resource_dependency(bus)
            daily = events.CfnRule(
                self,
                f"Daily-{stage.environment}",
                name=f"{self._name}-{stage.environment}-daily",
                description=f"Delivers to {stage.environment} what an event has not",
                schedule_expression=_DAILY,
                state="ENABLED",
                targets=[target],
            )
            for item in (rule, daily):
                item.node.add_dependency(build)

    def _bus(self) -> events.CfnEventBus:
        """Lets each environment's router put approvals on the bus, and nothing else.

        "Example policy: Send events to a custom bus in a different account", EventBridge User
        Guide.
        """
        statements = [
            {
                "Sid": f"ApprovalsOf{stage.environment.title().replace('-', '')}",
                "Effect": "Allow",
                "Principal": {"AWS": f"arn:aws:iam::{stage.account}:root"},
                "Action": "events:PutEvents",
                "Resource": approvals_bus_arn(self._tools),
                "Condition": {
                    "ArnEquals": {"aws:PrincipalArn": stage.role_arn("event-router")},
                    "StringEquals": {
                        "events:source": "aws.sagemaker",
                        "events:detail-type": "SageMaker Model Package State Change",
                    },
                },
            }
            for stage in self._tools.stages
        ]
        return events.CfnEventBus(
            self,
            "Bus",
            name=approvals_bus_name(self._tools),
            description="Approvals of models in the environments",
            policy={"Version": "2012-10-17", "Statement": statements},
        )

    def _starter(self, boundary: iam.IManagedPolicy) -> iam.Role:
        settings = self._tools.settings
        start = iam.PolicyStatement(
            actions=["codebuild:StartBuild"],
            resources=[arn(settings, "codebuild", f"project/{self._name}")],
        )
        role = iam.Role(
            self,
            "Starter",
            role_name=approvals_bus_name(self._tools),
            description="EventBridge: starts the build that delivers an approved version",
            assumed_by=service(settings, "events", f"rule/{prefix(settings)}-*"),
            permissions_boundary=boundary,
            inline_policies={"own": iam.PolicyDocument(statements=[start])},
        )
        acknowledge(role, {"NIST-IAMNoInlinePolicy": INLINE})
        return role

    def _target(self, stage: Settings, starter: iam.Role) -> events.CfnRule.TargetProperty:
        variables = {
            "ENVIRONMENT": stage.environment,
            "ROLE": stage.role_arn("endpoint-deployer"),
        }
        overrides = [
            {"name": key, "value": value, "type": "PLAINTEXT"} for key, value in variables.items()
        ]
        return events.CfnRule.TargetProperty(
            id="build",
            arn=arn(self._tools.settings, "codebuild", f"project/{self._name}"),
            role_arn=starter.role_arn,
            input=json.dumps({"environmentVariablesOverride": overrides}),
        )
