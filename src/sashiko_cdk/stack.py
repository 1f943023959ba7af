"""What every stack of an environment has in common."""

from aws_cdk import DefaultStackSynthesizer, Environment, RemovalPolicy, Stack, Tags
from constructs import Construct

from sashiko.aws.resources.names import QUALIFIER, prefix
from sashiko_cdk.deployment import Deployment


class EnvironmentStack(Stack):
    """A stack of one environment, with a fixed account, region and name."""

    def __init__(
        self,
        scope: Construct,
        part: str,
        deployment: Deployment,
        *,
        stateful: bool,
        description: str,
    ) -> None:
        """Makes an empty stack.

        Args:
            scope: the app.
            part: what it holds, such as `Identity`; the construct's id.
            deployment: the environment, and what it is made from.
            stateful: whether losing it loses data or breaks other stacks.
            description: what a person reads in the console.
        """
        settings = deployment.settings
        super().__init__(
            scope,
            part,
            stack_name=f"{prefix(settings)}-{part}",
            description=description,
            env=Environment(account=settings.account, region=settings.region),
            synthesizer=DefaultStackSynthesizer(qualifier=QUALIFIER),
            termination_protection=stateful and settings.on_destroy == "retain",
        )
        self.settings = settings
        Tags.of(self).add("project", settings.project)
        Tags.of(self).add("environment", settings.environment)

    @property
    def availability_zones(self) -> list[str]:
        """The zones as CloudFormation knows them: naming them here would take a look-up."""
        return [f"{self.region}{letter}" for letter in self.settings.network.zones]

    @property
    def removal_policy(self) -> RemovalPolicy:
        """What becomes of a stateful resource when its stack is destroyed.

        Where it is kept, the rollback of the very operation that made it still deletes it: it is
        empty then, and its name would be in the way of the next try. What was adopted is kept.
        """
        keep = self.settings.on_destroy == "retain"
        return RemovalPolicy.RETAIN_ON_UPDATE_OR_DELETE if keep else RemovalPolicy.DESTROY
