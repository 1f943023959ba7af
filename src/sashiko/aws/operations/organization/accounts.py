"""The project's accounts in an organization, and the roles that its policies except."""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from sashiko.aws.resources.names import Role, exec_role_arn, prefix
from sashiko.errors import InputError
from sashiko.settings.delivery import Source, load_delivery
from sashiko.settings.environment import Settings, deployed_environments, load_settings
from sashiko.settings.tools import load_tools

_ORGANIZATION = r"o-[a-z0-9]{10,32}"  # "Organization", AWS Organizations API Reference


@dataclass(frozen=True, kw_only=True)
class Accounts:
    """The accounts of all environments and of the tools."""

    organization: str  # its id, such as `o-exampleorgid`
    environments: tuple[Settings, ...]
    tools: Settings | None  # None where CodePipeline delivers nothing
    github: Source | None  # the repository whose GitHub Actions deliver; None where they do not

    @property
    def places(self) -> tuple[Settings, ...]:
        """The environments, and the tools under their own name."""
        return (*self.environments, *((self.tools,) if self.tools else ()))

    def deployers(self) -> list[str]:
        """Returns CloudFormation's roles: whatever stacks make, they make."""
        return _distinct(exec_role_arn(place) for place in self.places)

    def roles(self, names: Callable[[Settings], Iterable[Role]]) -> list[str]:
        """Returns the ARNs of some roles of each environment."""
        return [one.role_arn(name) for one in self.environments for name in names(one)]

    def arns(self, pattern: str, *, in_tools: bool = True) -> list[str]:
        """Returns ARNs: `pattern` for each place, with its account, its region and its prefix."""
        return _distinct(
            pattern.format(account=one.account, region=one.region, prefix=prefix(one))
            for one in (self.places if in_tools else self.environments)
        )

    def projects(self) -> list[str]:
        """Returns the values of the tag `project`."""
        return _distinct(place.project for place in self.places)

    def regions(self) -> list[str]:
        """Returns the regions that the project works in."""
        return _distinct(place.region for place in self.places)


def read_accounts(organization: str, *, folder: Path = Path("config")) -> Accounts:
    """Reads the accounts from the settings.

    Raises:
        InputError: if the id is none of an organization, a file is not valid, or no environment
            has an account.
    """
    if not re.fullmatch(_ORGANIZATION, organization):
        raise InputError(
            f"{organization} is no id of an organization, such as o-exampleorgid: `aws "
            "organizations describe-organization --query Organization.Id` prints yours"
        )
    names = deployed_environments(folder=folder)
    if not names:
        raise InputError(f"{folder}/ has no environment with an account: docs/change.md adds one")
    delivery = load_delivery(folder=folder)
    by = delivery.by if delivery else None
    return Accounts(
        organization=organization,
        environments=tuple(load_settings(name, folder=folder) for name in names),
        tools=load_tools(folder=folder).settings if by == "codepipeline" else None,
        github=delivery.source if delivery and by == "actions" else None,
    )


def _distinct(texts: Iterable[str]) -> list[str]:
    return sorted(set(texts))
