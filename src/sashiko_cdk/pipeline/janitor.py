"""The janitor of device checks: it runs hourly, since a leftover endpoint costs money."""

from dataclasses import asdict

from aws_cdk import Duration, RemovalPolicy
from aws_cdk import aws_kms as kms
from constructs import Construct

from sashiko.account.names import device_check_prefix, prefix
from sashiko.base.function_input import Sweep
from sashiko.settings.environment import Settings
from sashiko_cdk.events.function_rule import FunctionRule
from sashiko_cdk.functions.python_function import PythonFunction

__all__ = ["Janitor"]

# SageMaker kills a stopped job after two minutes; the rest allows for clock skew.
_MARGIN_SECONDS = 600


class Janitor(Construct):
    """A function that deletes the leftovers of checks, and the rule that calls it."""

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        settings: Settings,
        topic: str,
        key: kms.IKey,
        removal_policy: RemovalPolicy,
    ) -> None:
        super().__init__(scope, id)
        janitor = PythonFunction(
            self,
            "Function",
            settings=settings,
            role="janitor",
            module="sashiko.functions.janitor_handler",
            description="Deletes what a check on a device left, and tells the alerts topic",
            timeout=Duration.minutes(5),
            key=key,
            removal_policy=removal_policy,
        )
        longest = settings.jobs.processing.max_runtime + _MARGIN_SECONDS
        sweep = Sweep(prefix=f"{device_check_prefix(settings)}-", older_than=longest, topic=topic)
        FunctionRule(
            self,
            "Hourly",
            settings=settings,
            name=f"{prefix(settings)}-janitor",
            description="Has leftovers of device checks deleted",
            function=janitor.function,
            schedule="rate(1 hour)",
            event=asdict(sweep),
        )
