"""The parts of the pipeline: one CodeBuild project and one role each, and where each may go."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from sashiko.account.names import BootstrapRole, arn, bootstrap_role_arn, prefix
from sashiko.settings.delivery import approved_stages
from sashiko.settings.environment import Settings
from sashiko.settings.tools import Tools

Kind = Literal["test", "synth", "difference", "deploy"]
# What a part assumes in the account that it compares with or deploys to.
ASSUMED: Mapping[Kind, tuple[BootstrapRole, ...]] = {
    "test": (),
    "synth": (),
    "difference": ("lookup",),
    "deploy": ("deploy", "file-publishing", "lookup"),
}


@dataclass(frozen=True, kw_only=True)
class Part:
    """A CodeBuild project of the pipeline.

    Attributes:
        tools: the settings that its name follows from.
        kind: what it does.
        place: the environment, or the tools' account itself, that it compares with or deploys to.
    """

    tools: Settings
    kind: Kind
    place: Settings | None = None

    @property
    def id(self) -> str:
        """Its name within the pipeline, such as `dev-deploy`."""
        return f"{self.place.environment}-{self.kind}" if self.place else self.kind

    @property
    def name(self) -> str:
        """The name of its project and of its role."""
        return f"{prefix(self.tools)}-{self.id}"

    @property
    def log_group(self) -> str:
        """The name of its log group."""
        return f"/{prefix(self.tools)}/{self.id}"

    @property
    def project_arn(self) -> str:
        """The ARN of its project."""
        return arn(self.tools, "codebuild", f"project/{self.name}")

    @property
    def assumes(self) -> tuple[str, ...]:
        """The ARNs of the roles that it assumes."""
        roles = ASSUMED[self.kind]
        return tuple(bootstrap_role_arn(self.place, role) for role in roles) if self.place else ()


def places_of(tools: Tools) -> tuple[Settings, ...]:
    """Returns what the pipeline deploys to, in order: the first stage, itself, the other stages.

    Its own update always waits for a person. The first stage follows a merge, so it comes before.
    """
    first, *others = tools.stages
    return (first, tools.settings, *others)


def is_approved(tools: Tools, place: Settings) -> bool:
    """Says whether a person approves each deploy to a place; the pipeline's own always."""
    return place == tools.settings or place in approved_stages(tools.stages)


def parts_of(tools: Tools) -> Iterator[Part]:
    """Yields all parts, in the order of the pipeline."""
    yield Part(tools=tools.settings, kind="test")
    yield Part(tools=tools.settings, kind="synth")
    for place in places_of(tools):
        yield Part(tools=tools.settings, kind="difference", place=place)
        yield Part(tools=tools.settings, kind="deploy", place=place)
