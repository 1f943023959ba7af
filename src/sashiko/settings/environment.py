"""What an environment is: `config/base.yaml` with `config/<env>.yaml` laid over it.

Each file in `config/` but `base.yaml` is an environment.
"""

import re
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import AfterValidator, Field, ValidationInfo, field_validator

from sashiko.core.yaml_models import Frozen, Layer, read_yaml, validate_layers
from sashiko.errors import InputError
from sashiko.settings.jobs import JobsSection
from sashiko.settings.serving import DeviceCheck, ServingSection
from sashiko.settings.types import ImageDigest, ImageName, instance_types

_PROJECT = r"^[a-z][a-z0-9-]{1,18}$"
# No hyphen: policies of `dev` are on names such as `<project>-dev-*`, and would be on those of an
# environment `dev-eu` too. `<project>-devicecheck-` begins the names of all checks on devices.
_ENVIRONMENT = r"^(?!(base|devicecheck)$)[a-z][a-z0-9]*$"
# The longest bucket name, `<project>-<environment>-snapshots-<account>-ap-southeast-1`, has 39
# characters more, and S3 allows 63 (S3 User Guide, "General purpose bucket naming rules").
_LONGEST_PREFIX = 24
Tier = Literal["local", "dev", "prod"]


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


def _names_a_file(environment: str) -> str:
    if not re.fullmatch(_ENVIRONMENT, environment):
        raise ValueError(
            "an environment is named as its file in config/: lower-case letters and digits, a "
            "letter first, and neither `base` nor `devicecheck`; rename the file"
        )
    return environment


EnvironmentName = Annotated[
    str, AfterValidator(_names_a_file), Field(json_schema_extra={"pattern": _ENVIRONMENT})
]


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
        tier: what is strict there, required in each environment's own file. `local` is this
            machine, which has no account; `prod` refuses `device_check: off` and one instance
            alone; `dev` allows both. Staging is a file of tier `prod`, if it is to refuse what prod
            does, or else of `dev`: no rule is its own.
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
            driver and shows no latency; or `off`, which the model's record keeps, and tier `prod`
            refuses.
        image_digests: name in aws/resources/images/images.yaml -> digest by which that image of
            AWS is pinned; `sashiko images` prints how to look one up.
    """

    project: Annotated[
        str, AfterValidator(_allowed_in_names), Field(json_schema_extra={"pattern": _PROJECT})
    ]
    environment: EnvironmentName
    tier: Tier
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

    @field_validator("environment")
    @classmethod
    def _fits_in_names(cls, value: str, others: ValidationInfo) -> str:
        project = others.data.get("project", "")
        if len(project) + len(value) > _LONGEST_PREFIX:
            raise ValueError(
                f"with `{project}` (`project`) it has {len(project) + len(value)} characters, and "
                f"bucket names have room for {_LONGEST_PREFIX}: shorten the file's name or the "
                "project's"
            )
        return value

    @field_validator("device_check")
    @classmethod
    def _checked_in_prod(cls, value: str, others: ValidationInfo) -> str:
        if value == "off" and others.data.get("tier") == "prod":
            raise ValueError(
                "not in tier `prod`, where nobody would know how a model answers on its instance: "
                "set `endpoint` or `transform`"
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
            if neighbour and neighbour.environment == own:
                raise ValueError(f"`{own}` is this file's own environment: name another one")
        return value

    def role_arn(self, role: str) -> str:
        """Returns the ARN of one of the fixed-name job roles, such as `broker`."""
        return f"arn:aws:iam::{self.account}:role/{self.project}-{self.environment}-{role}"


def file_of(key: str, environment: str, *, folder: Path = Path("config")) -> Path:
    """Returns the file that a key at the top of an environment's settings is read from."""
    own = folder / f"{environment}.yaml"
    return own if key in read_yaml(own) else folder / "base.yaml"


def environment_names(*, folder: Path = Path("config")) -> tuple[str, ...]:
    """Lists the environments that there are files of, by name."""
    return tuple(sorted(file.stem for file in folder.glob("*.yaml") if file.stem != "base"))


def deployed_environments(*, folder: Path = Path("config")) -> tuple[str, ...]:
    """Lists the environments that have an account.

    Raises:
        InputError: if the file of one cannot be read, or does not say its tier.
    """
    names = environment_names(folder=folder)
    return tuple(name for name in names if _own(name, folder=folder)["tier"] != "local")


def load_settings(environment: str, *, folder: Path = Path("config")) -> Settings:
    """Reads `base.yaml` and `<environment>.yaml`.

    Raises:
        InputError: if the environment is unknown, or a file is missing or not valid.
    """
    base = folder / "base.yaml"
    if not base.is_file():
        raise InputError(f"{base} does not exist: run the command in the repository's root")
    known = environment_names(folder=folder)
    if environment not in known:
        raise InputError(
            f"unknown environment `{environment}`: those in {folder}/ are "
            f"{', '.join(f'{name}.yaml' for name in known) or 'none'}; name one of them (--env, or "
            f"ENV= of make), or add {folder}/{environment}.yaml"
        )
    named = _own(environment, folder=folder) | {"environment": environment}
    own = Layer(str(folder / f"{environment}.yaml"), named)
    return validate_layers(Settings, [Layer(str(base), read_yaml(base)), own])


def load_deployed(environment: str, *, folder: Path = Path("config")) -> Settings:
    """Reads the settings of an environment that has an account.

    Raises:
        InputError: as `load_settings`, and if the environment is this machine.
    """
    settings = load_settings(environment, folder=folder)
    if settings.tier == "local":
        raise InputError(
            f"environment `{environment}` is this machine: it has no account, and no stacks "
            f"(`tier: local` in {folder / environment}.yaml); use "
            f"{' or '.join(deployed_environments(folder=folder)) or 'one of another tier'}"
        )
    return settings


def _own(environment: str, *, folder: Path) -> dict[str, Any]:
    """Reads an environment's own file, which alone may say its tier."""
    file = folder / f"{environment}.yaml"
    own = read_yaml(file)
    if "tier" not in own:
        raise InputError(
            f"{file}: key `tier` is missing: it decides what is strict in the environment; "
            f"allowed: {', '.join(get_args(Tier))}"
        )
    return own
