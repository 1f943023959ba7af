"""A rule of EventBridge that calls a function of this project."""

import json
from collections.abc import Mapping
from typing import Any

from aws_cdk import aws_events as events
from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from sashiko.settings.environment import Settings


class FunctionRule(Construct):
    """A rule on the default bus, and its own permission to call the function."""

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
        """Makes both.

        It calls on events of `pattern` or by `schedule`, such as `rate(1 hour)`. The input is
        `event`; None for the event itself.
        """
        super().__init__(scope, id)
        rule = events.CfnRule(
            self,
            "Default",
            name=name,
            description=description,
            event_pattern=pattern,
            schedule_expression=schedule,
            state="ENABLED",
            targets=[
                events.CfnRule.TargetProperty(
                    id="function",
                    arn=function.function_arn,
                    input=json.dumps(event, sort_keys=True) if event else None,
                )
            ],
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
