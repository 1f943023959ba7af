"""The base class of an environment's stacks, and ids of what CloudFormation can only replace."""

import hashlib
import json

from aws_cdk import DefaultStackSynthesizer, Environment, RemovalPolicy, Stack, Tags
from constructs import Construct

from sashiko.account.names import prefix
from sashiko.settings.tools import Tools
from sashiko_cdk.deployment import Deployment

__all__ = ["EnvironmentStack"]


class EnvironmentStack(Stack):
    """A stack of one environment, or of the tools, with a fixed account, region and name."""

    def __init__(
        self,
        scope: Construct,
        part: str,
        deployment: Deployment | Tools,
        *,
        stateful: bool,
        description: str,
    ) -> None:
        """Makes an empty stack.

        `part` is what it holds, such as `Identity`, and its id. Losing a `stateful` one loses data
        or breaks other stacks.
        """
        settings = deployment.settings
        super().__init__(
            scope,
            part,
            stack_name=f"{prefix(settings)}-{part}",
            description=description,
            env=Environment(account=settings.account, region=settings.region),
            synthesizer=DefaultStackSynthesizer(qualifier=settings.qualifier),
            termination_protection=stateful and settings.on_destroy == "retain",
        )
        self.settings = settings
        Tags.of(self).add("project", settings.project)
        Tags.of(self).add("environment", settings.environment)

    @property
    def availability_zones(self) -> list[str]:
        """The zones by letter, so that synth needs no look-up in the account."""
        return [*self.settings.zone_names]

    @property
    def removal_policy(self) -> RemovalPolicy:
        """The removal policy of stateful resources.

        A retained resource is still deleted by the rollback of the operation that created it: it is
        empty then, and its name would block the next attempt. An adopted resource is retained.
        """
        keep = self.settings.on_destroy == "retain"
        return RemovalPolicy.RETAIN_ON_UPDATE_OR_DELETE if keep else RemovalPolicy.DESTROY


def content_id(scope: Construct, word: str, *content: object) -> str:
    """Returns `word` and a digest of `content`: all properties of a resource.

    A create-only resource under such an id is never replaced: changed content is a new resource,
    and unchanged content keeps its id wherever the code moves.
    """
    resolved = Stack.of(scope).resolve(list(content))
    text = json.dumps(resolved, sort_keys=True)
    return f"{word}{hashlib.sha256(text.encode()).hexdigest()[:12]}"
