"""How a merge reaches the environments: `config/delivery.yaml`, which a project has or has not."""

from pathlib import Path
from typing import Annotated, Final, Literal, Self

from pydantic import Field, model_validator

from sashiko.core.yaml_models import Frozen, Layer, read_yaml, validate_layers
from sashiko.errors import InputError
from sashiko.settings.environment import deployed_environments
from sashiko.settings.sections import EnvironmentName

DELIVERY_FILE: Final = "delivery.yaml"


class Source(Frozen):
    """The repository and the branch whose merges are delivered.

    Attributes:
        host: where the repository is.
        repository: `owner/name`.
        branch: the branch that is delivered.
        connection: ARN of the connection (AWS CodeConnections) through which CodePipeline reads the
            repository; null where GitHub Actions delivers.
    """

    host: Literal["github", "gitlab", "bitbucket"]
    repository: str = Field(pattern=r"^[A-Za-z0-9][\w.-]*(/[\w.-]+)+$", max_length=200)
    branch: str = Field(pattern=r"^[A-Za-z0-9][\w./-]*$", max_length=100)
    connection: (
        Annotated[
            str,
            Field(
                pattern=r"^arn:aws:codeconnections:[a-z]{2}(-[a-z]+)+-\d:\d{12}:connection/[0-9a-f-]{36}$"
            ),
        ]
        | None
    ) = None


class Delivery(Frozen):
    """Who delivers what to which environments.

    Attributes:
        by: `codepipeline` in the tools' account, or `actions`: GitHub's, which assume a role of
            each environment.
        account: the AWS account id of the tools: the pipeline, its builds and its artifacts.
        region: the tools' AWS region.
        source: what is delivered.
        stages: the environments in the order in which they are deployed. A person approves each one
            but the first.
    """

    by: Literal["codepipeline", "actions"]
    account: str = Field(pattern=r"^\d{12}$")
    region: str = Field(pattern=r"^[a-z]{2}(-[a-z]+)+-\d$")
    source: Source
    stages: tuple[EnvironmentName, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _check_source(self) -> Self:
        if self.by == "actions" and self.source.host != "github":
            raise ValueError(
                f"`by: actions` delivers from GitHub, and `source.host` is {self.source.host}: set "
                "`by: codepipeline`"
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
        return self


def load_delivery(*, folder: Path = Path("config")) -> Delivery | None:
    """Reads `config/delivery.yaml`; None where the project has no such file.

    Raises:
        InputError: if the file is not valid, or names a stage that is no environment with an
            account.
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
