"""How a merge reaches the environments: `config/delivery.yaml`, which a project has or has not."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final, Literal, Self

from pydantic import Field, model_validator

from sashiko.base.yaml_models import Frozen, Layer, read_yaml, validate_layers
from sashiko.errors import InputError
from sashiko.settings.environment import Settings, deployed_environments, load_settings
from sashiko.settings.environment_sections import EnvironmentName

__all__ = ["GitHubTrust"]

DELIVERY_FILE: Final = "delivery.yaml"
_CONNECTION: Final = (
    r"^arn:aws:codeconnections:[a-z]{2}(-[a-z]+)+-\d:\d{12}:connection/[0-9a-f-]{36}$"
)


class RepositoryIds(Frozen):
    """The ids that GitHub gave the owner and the repository, and gives to nobody else.

    `gh api repos/OWNER/NAME --jq '{owner: .owner.id, repository: .id}'` prints them.

    Attributes:
        owner: of the user or the organization.
        repository: of the repository.
    """

    owner: int = Field(ge=1)
    repository: int = Field(ge=1)


class Source(Frozen):
    """The repository and the branch whose merges are delivered.

    Attributes:
        host: where the repository is.
        repository: `owner/name`.
        branch: the branch that is delivered.
        connection: ARN of the connection (AWS CodeConnections) through which CodePipeline reads the
            repository; null where GitHub Actions delivers.
        ids: the ids of owner and repository, by which the accounts know GitHub's tokens; null where
            CodePipeline delivers.
    """

    host: Literal["github", "gitlab", "bitbucket"]
    repository: str = Field(pattern=r"^[A-Za-z0-9][\w.-]*(/[\w.-]+)+$", max_length=200)
    branch: str = Field(pattern=r"^[A-Za-z0-9][\w./-]*$", max_length=100)
    connection: Annotated[str, Field(pattern=_CONNECTION)] | None = None
    ids: RepositoryIds | None = None

    @property
    def ref(self) -> str:
        """The branch, as Git and GitHub's tokens name it."""
        return f"refs/heads/{self.branch}"

    def subject_in(self, environment: str) -> str:
        """Returns the subject of the token of a job in the environment of a stage's name."""
        return f"{self.subject}:environment:{environment}"

    @property
    def subject(self) -> str:
        """The beginning of the subject of GitHub's tokens, with the ids that are never reused.

        "Immutable subject claims", OpenID Connect reference of GitHub's documentation. InputError
        without `ids`.
        """
        if self.ids is None:
            raise InputError(f"{DELIVERY_FILE}: key `source.ids` is missing")
        owner, _, name = self.repository.partition("/")
        return f"repo:{owner}@{self.ids.owner}/{name}@{self.ids.repository}"


class Delivery(Frozen):
    """Who delivers what to which environments.

    Attributes:
        by: `codepipeline` in the tools' account, or `actions`: GitHub's, which assume a role of
            each environment.
        account: the AWS account id of the tools: the pipeline, its builds and its artifacts.
        region: the tools' AWS region.
        source: what is delivered.
        stages: the environments in the order in which they are deployed. A person approves each
            deploy, except to a first one of tier `dev`.
        existing_providers: the stages whose account trusts GitHub's tokens already, by an OIDC
            provider that something else has made: an account can have one.
    """

    by: Literal["codepipeline", "actions"]
    account: str = Field(pattern=r"^\d{12}$")
    region: str = Field(pattern=r"^[a-z]{2}(-[a-z]+)+-\d$")
    source: Source
    stages: tuple[EnvironmentName, ...] = Field(min_length=1)
    existing_providers: tuple[EnvironmentName, ...] = ()

    @model_validator(mode="after")
    def _check_source(self) -> Self:
        if self.by == "actions" and self.source.host != "github":
            raise ValueError(
                f"`by: actions` delivers from GitHub, and `source.host` is {self.source.host}: set "
                "`by: codepipeline`"
            )
        if self.source.host == "github" and self.source.repository.count("/") != 1:
            raise ValueError(
                f"`source.repository`: {self.source.repository} is not `owner/name`, as GitHub has"
            )
        if self.by == "actions" and not self.source.ids:
            raise ValueError(
                "`source.ids` is missing: the accounts know GitHub's tokens by the ids of owner "
                f"and repository; `gh api repos/{self.source.repository} --jq "
                "'{owner: .owner.id, repository: .id}'` prints them"
            )
        if self.by == "codepipeline" and not self.source.connection:
            raise ValueError(
                "`source.connection` is missing: CodePipeline reads the repository through it; "
                "create one in the tools' account (docs/delivery.md)"
            )
        return self

    @model_validator(mode="after")
    def _check_stages(self) -> Self:
        if len(set(self.stages)) < len(self.stages):
            raise ValueError("`stages` names an environment twice")
        for name in self.existing_providers:
            if name not in self.stages:
                raise ValueError(f"`existing_providers`: `{name}` is none of `stages`")
        if self.existing_providers and self.by != "actions":
            raise ValueError("`existing_providers` is GitHub's: only `by: actions` has one")
        return self


@dataclass(frozen=True, kw_only=True)
class GitHubTrust:
    """What an environment that GitHub Actions deploys trusts."""

    source: Source  # the repository and its branch
    makes_provider: bool  # whether its stacks make the account's OIDC provider


def approved_stages(stages: Sequence[Settings]) -> tuple[Settings, ...]:
    """Returns the stages whose deploys a person approves: all but a first one of tier dev."""
    first, *others = stages
    return (*([] if first.tier == "dev" else [first]), *others)


def load_delivery(*, folder: Path = Path("config")) -> Delivery | None:
    """Reads `config/delivery.yaml`; None where the project has no such file.

    InputError if the file is not valid, or names a stage that is no environment with an account.
    """
    file = folder / DELIVERY_FILE
    if not file.exists():
        return None
    delivery = validate_layers(Delivery, [Layer(str(file), read_yaml(file))])
    known = deployed_environments(folder=folder)
    for stage in delivery.stages:
        if stage not in known:
            raise InputError(
                f"{file}: key `stages`: `{stage}` is no environment with an account; those in "
                f"{folder}/ are {', '.join(known) or 'none'}"
            )
    return delivery


def load_stages(delivery: Delivery, *, folder: Path = Path("config")) -> tuple[Settings, ...]:
    """Reads the settings of the stages, in their order.

    InputError if a file is not valid, or two stages contradict each other.
    """
    stages = tuple(load_settings(name, folder=folder) for name in delivery.stages)
    file = folder / DELIVERY_FILE
    last = stages[-1]
    for stage in stages:
        if stage.project != last.project:
            raise InputError(
                f"{file}: key `stages`: `{stage.environment}` is of the project {stage.project}, "
                f"and `{last.environment}` of {last.project}; one delivery is of one project"
            )
    for account in sorted({stage.account for stage in stages}):
        there = [stage.environment for stage in stages if stage.account == account]
        known = [name for name in there if name in delivery.existing_providers]
        if known and known != there:
            raise InputError(
                f"{file}: key `existing_providers`: it names {', '.join(known)}, and not "
                f"{', '.join(name for name in there if name not in known)} in the same account "
                f"({account}), which has the provider or has not: name all of them or none"
            )
    return stages


def github_trust(environment: str, *, folder: Path = Path("config")) -> GitHubTrust | None:
    """Returns what an environment trusts; None if GitHub Actions does not deploy it.

    The first stage in an account makes the account's provider. InputError as `load_delivery` and
    `load_stages`.
    """
    delivery = load_delivery(folder=folder)
    if delivery is None or delivery.by != "actions" or environment not in delivery.stages:
        return None
    stages = load_stages(delivery, folder=folder)
    accounts = {stage.environment: stage.account for stage in stages}
    first = next(name for name in delivery.stages if accounts[name] == accounts[environment])
    return GitHubTrust(
        source=delivery.source,
        makes_provider=environment == first and environment not in delivery.existing_providers,
    )
