"""What an environment is: `config/base.yaml` with `config/<env>.yaml` laid over it."""

import re
from pathlib import Path
from typing import Annotated, Literal, get_args

from pydantic import AfterValidator, Field, ValidationInfo, field_validator

from sashiko.errors import InputError
from sashiko.job_settings import JobsSection
from sashiko.serving_settings import DeviceCheck, ServingSection
from sashiko.setting_types import ImageDigest, ImageName, instance_types
from sashiko.yaml_models import Frozen, Layer, read_yaml, validate_layers

_PROJECT = r"^[a-z][a-z0-9-]{1,18}$"
EnvironmentName = Literal["dev", "local", "prod"]


def _allowed_in_names(project: str) -> str:
    """Every bucket's and role's name begins with the project's; S3 keeps some beginnings."""
    if not re.fullmatch(_PROJECT, project):
        raise ValueError(
            "lower-case letters, digits and `-`, at most 19 and a letter first: AWS's names begin "
            "with it"
        )
    for reserved in ("amzn-s3-demo-", "sthree-", "xn--"):
        if f"{project}-".startswith(reserved):
            raise ValueError(
                f"S3 refuses bucket names that begin with `{reserved}`; choose another"
            )
    return project


class BiasSection(Frozen):
    """Who measures bias.

    Attributes:
        backend: `own`, this project's image; `clarify`, AWS's, on the same inputs, for an account
            that had SageMaker Clarify before AWS closed it to new customers.
    """

    backend: Literal["own", "clarify"]


class LakeFormationSection(Frozen):
    """How the lake is governed.

    Attributes:
        mode: `enforced` grants by Lake Formation; `iam_only` leaves tables to IAM alone, for an
            account whose Lake Formation somebody else owns.
        account_stack: whether this environment deploys what an account has once: the data-lake
            settings, the LF-Tags and the log groups of SageMaker's jobs. One environment of an
            account at most.
    """

    mode: Literal["enforced", "iam_only"]
    account_stack: bool


ZoneLetter = Literal["a", "b", "c", "d", "e", "f"]


def _each_once(letters: tuple[ZoneLetter, ...]) -> tuple[ZoneLetter, ...]:
    if len(set(letters)) < len(letters):
        raise ValueError("a zone is named twice")
    return letters


class NetworkSection(Frozen):
    """The VPC that jobs run in; it has no way to the internet.

    Attributes:
        cidr: its addresses.
        zones: the letters of the availability zones that it has a subnet in. Not every account has
            every letter of a region: `aws ec2 describe-availability-zones` lists its own.
        s3_prefix_lists: region -> id of AWS's prefix list of S3 there: jobs may reach no other
            addresses. AWS has one a region, and CloudFormation cannot look it up.
        mlflow_service: the endpoint service by which Track reaches the MLflow App, `{region}` left
            open; null makes no endpoint, and no run is tracked. AWS documents none for Apps.
    """

    cidr: str = Field(pattern=r"^\d{1,3}(\.\d{1,3}){3}/(1[6-9]|2[01])$")
    zones: Annotated[tuple[ZoneLetter, ...], Field(min_length=1), AfterValidator(_each_once)]
    s3_prefix_lists: dict[str, Annotated[str, Field(pattern=r"^pl-[0-9a-f]+$")]]
    mlflow_service: Annotated[str, Field(pattern=r"^[a-z0-9.-]+\{region\}[a-z0-9.-]+$")] | None


class BudgetSection(Frozen):
    """What may be spent before somebody hears of it.

    Attributes:
        amount: US dollars a month; alerts come at 80 % spent, and when all of it is forecast.
        covers: `account`, all of it; `environment`, what carries the tags `project` and
            `environment`, of which billing knows nothing until both are activated there.
        idle_rise: US dollars a month by which a change may raise the idle cost; `sashiko cost
            --against` and the tests refuse more.
    """

    amount: float = Field(gt=0)
    covers: Literal["account", "environment"]
    idle_rise: float = Field(ge=0)


class AlertsSection(Frozen):
    """Who hears of the budget, of failures, of closed gates and of models that wait.

    Attributes:
        emails: subscribed to the environment's topic; each confirms by a link in SNS's first mail.
    """

    emails: tuple[Annotated[str, Field(pattern=r"^[^@\s]+@[^@\s]+\.[^@\s]+$")], ...]


class TriggersSection(Frozen):
    """What starts by itself.

    Attributes:
        etl: an extract's `_SUCCESS` marker in the raw bucket starts its table's ETL job.
        pipeline: a loaded version of a recipe's table starts its pipeline.
    """

    etl: bool
    pipeline: bool


class Neighbour(Frozen):
    """Another environment of the project, in the same region.

    Attributes:
        environment: its name.
        account: its AWS account id, which may be this one.
    """

    environment: EnvironmentName
    account: str = Field(pattern=r"^\d{12}$")


class PromotionSection(Frozen):
    """Between which environments approved versions are copied; each of the two names the other.

    Attributes:
        source: whose versions this environment takes; null takes none.
        target: whose role `promoter` may read this environment's registered models; null lets
            nobody.
    """

    source: Neighbour | None
    target: Neighbour | None


class Settings(Frozen):
    """One environment.

    Attributes:
        project: prefix of every resource's name.
        environment: name of the environment; the file's name.
        account: the AWS account id.
        region: the AWS region.
        recipe: the recipe that commands take when none is named.
        threads: OpenMP threads of each job; part of what makes results the same bytes.
        jobs: instances per kind of job.
        bias: who measures bias.
        contracts: the data sets in the lake, each by its file's name in `contracts/`.
        on_destroy: what becomes of buckets, keys, tables and roles when a stack is destroyed.
        lake_formation: how the lake is governed.
        network: the VPC.
        budget: what it may cost.
        alerts: who hears of it.
        triggers: what starts by itself.
        serving: the endpoint.
        promotion: from where and to where approved versions are copied.
        device_check: how the pipeline asks a model on the instances of `serving` before it is
            registered: an `endpoint` that lives for minutes; a batch `transform`, which pins no
            driver and shows no latency; or `off`, which the model's record keeps, and prod refuses.
        image_digests: name in aws/images/images.yaml -> digest by which that image of AWS is
            pinned; `sashiko images` prints how to look one up.
    """

    project: Annotated[
        str, AfterValidator(_allowed_in_names), Field(json_schema_extra={"pattern": _PROJECT})
    ]
    environment: EnvironmentName
    account: str = Field(pattern=r"^\d{12}$")
    region: str = Field(pattern=r"^[a-z]{2}(-[a-z]+)+-\d$")
    recipe: str
    threads: int = Field(ge=1, le=64)
    jobs: JobsSection
    bias: BiasSection
    contracts: tuple[str, ...] = Field(min_length=1)
    on_destroy: Literal["retain", "delete"]
    lake_formation: LakeFormationSection
    network: NetworkSection
    budget: BudgetSection
    alerts: AlertsSection
    triggers: TriggersSection
    serving: ServingSection
    promotion: PromotionSection
    device_check: DeviceCheck
    image_digests: dict[ImageName, ImageDigest]

    @field_validator("device_check")
    @classmethod
    def _checked_in_prod(cls, value: str, others: ValidationInfo) -> str:
        if value == "off" and others.data.get("environment") == "prod":
            raise ValueError(
                "not in prod, where nobody would know how a model answers on its instance: set "
                "`endpoint` or `transform`"
            )
        serving = others.data.get("serving")
        if value == "transform" and serving:
            known = instance_types("TransformInstanceType")
            for target, instance in serving.instance_types:
                if instance not in known:
                    raise ValueError(
                        f"batch transform has no {instance} (`serving.instance_types.{target}`): "
                        "set `endpoint`, or another instance type"
                    )
        return value

    @field_validator("promotion")
    @classmethod
    def _between_two(cls, value: PromotionSection, others: ValidationInfo) -> PromotionSection:
        own = others.data.get("environment")
        for neighbour in (value.source, value.target):
            if neighbour and neighbour.environment in (own, "local"):
                raise ValueError(
                    f"`{neighbour.environment}` is no other environment with a registry in an "
                    "account: name dev or prod, the one that this file is not of"
                )
        return value

    def role_arn(self, role: str) -> str:
        """Returns the ARN of one of the fixed-name job roles, such as `broker`."""
        return f"arn:aws:iam::{self.account}:role/{self.project}-{self.environment}-{role}"


def file_of(key: str, environment: str, *, folder: Path = Path("config")) -> Path:
    """Returns the file that a key at the top of an environment's settings is read from."""
    own = folder / f"{environment}.yaml"
    return own if key in read_yaml(own) else folder / "base.yaml"


def load_settings(environment: str, *, folder: Path = Path("config")) -> Settings:
    """Reads `base.yaml` and `<environment>.yaml`.

    Raises:
        InputError: if the environment is unknown, or a file is missing or not valid.
    """
    base = folder / "base.yaml"
    if not base.is_file():
        raise InputError(f"{base} does not exist: run the command in the repository's root")
    known = get_args(EnvironmentName)
    if environment not in known:
        raise InputError(
            f"unknown environment `{environment}`, for which there is no "
            f"{folder}/{environment}.yaml: name another one (--env, or ENV= of make); known are "
            f"{', '.join(known)}"
        )
    files = (base, folder / f"{environment}.yaml")
    layers = [Layer(str(file), read_yaml(file)) for file in files]
    return validate_layers(Settings, [*layers, Layer("--env", {"environment": environment})])


def load_deployed(environment: str, *, folder: Path = Path("config")) -> Settings:
    """Reads the settings of an environment that has an account.

    Raises:
        InputError: as `load_settings`, and if the environment is this machine.
    """
    if environment == "local":
        raise InputError(
            "environment `local` is this machine: it has no account, and no stacks; use dev or prod"
        )
    return load_settings(environment, folder=folder)
