"""A state machine of Step Functions, with its log."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from aws_cdk import aws_logs as logs
from aws_cdk import aws_stepfunctions as sfn
from constructs import Construct

from sashiko.account.names import Role, prefix
from sashiko.settings.environment import Settings
from sashiko_cdk.identity.allow import Allowed
from sashiko_cdk.identity.role_policy import RolePolicy
from sashiko_cdk.security_rules.acknowledge import acknowledge


class StateMachine(Construct):
    """A standard state machine under a fixed name, and what its role may do for it.

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
        place = f"{settings.region}:{settings.account}"
        self.arn = f"arn:aws:states:{place}:stateMachine:{self.machine_name}"
        policy = RolePolicy(
            self,
            "Access",
            settings=settings,
            role=role,
            description=description,
            statements=allowed,
        )
        destination = sfn.CfnStateMachine.LogDestinationProperty(
            cloud_watch_logs_log_group=sfn.CfnStateMachine.CloudWatchLogsLogGroupProperty(
                log_group_arn=log.log_group_arn
            )
        )
        self.resource = sfn.CfnStateMachine(
            self,
            "Resource",
            state_machine_name=self.machine_name,
            state_machine_type="STANDARD",
            role_arn=settings.role_arn(role),
            definition_string=json.dumps(definition, indent=1),
            logging_configuration=sfn.CfnStateMachine.LoggingConfigurationProperty(
                level="ALL", include_execution_data=True, destinations=[destination]
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
