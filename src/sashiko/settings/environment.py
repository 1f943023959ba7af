"""Environments: `config/<env>.yaml` merged over `config/base.yaml`.

Each file in `config/` is an environment, except `base.yaml` and `delivery.yaml`.
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import AfterValidator, Field, ValidationInfo, field_validator

from sashiko.base.yaml_models import Layer, read_yaml, validate_layers
from sashiko.errors import InputError
from sashiko.packs import Pack, enabled_packs
from sashiko.settings.environment_sections import (
    AlertsSection,
    BiasSection,
    BudgetSection,
    EnvironmentName,
    JobsSection,
    LakeFormationSection,
    PackageIndex,
    PromotionSection,
    TriggersSection,
)
from sashiko.settings.network_section import NetworkSection
from sashiko.settings.sectioned import Sectioned, check_sections, with_sections
from sashiko.settings.serving import DeviceCheck, ServingSection
from sashiko.settings.types import ImageDigest, ImageName, instance_types

__all__ = ["Settings", "load_settings"]


_PROJECT = r"^[a-z][a-z0-9-]{1,18}$"
# The longest bucket name, `<project>-<environment>-snapshots-<account>-ap-southeast-1`, has 39
# characters more, and S3 allows 63 (S3 User Guide, "General purpose bucket naming rules").
_LONGEST_PREFIX = 24
_MOST_KEYS = 20
Tier = Literal["local", "dev", "prod"]


def _check_rising(numbers: tuple[int, ...]) -> tuple[int, ...]:
    if sorted(set(numbers)) != list(numbers):
        raise ValueError("write the numbers in rising order, each once: the last one's key signs")
    return numbers


def _check_project_name(project: str) -> str:
    """Bucket and role names begin with the project's name, and S3 reserves some prefixes."""
    if not re.fullmatch(_PROJECT, project):
        raise ValueError(
            "lower-case letters, digits and `-`, a letter first, at most 19 characters: "
            "it is the prefix of AWS names"
        )
    for reserved in ("amzn-s3-demo-", "sthree-", "xn--"):
        if f"{project}-".startswith(reserved):
            raise ValueError(
                f"S3 refuses bucket names that begin with `{reserved}`; choose another name"
            )
    return project


class Settings(Sectioned):
    """One environment; packs add sections (`section`).

    Attributes:
        project: prefix of every resource's name.
        environment: name of the environment, that of its file.
        tier: how strict the checks are; required in each environment's own file. `local` is this
            machine, without an account; `prod` refuses `device_check: off` and single instances;
            `dev` allows both. A staging environment has tier `prod` or `dev`; there is no third
            set of rules.
        account: the AWS account id.
        qualifier: of the CDK's bootstrap; one for each project in an account and region. CDK's
            bootstrap template takes at most ten characters.
        region: the AWS region.
        packs: the features beside the core that the project uses; only in base.yaml.
        recipe: the default recipe of the commands.
        threads: OpenMP threads of each job; reproducible results depend on it.
        jobs: instances per kind of job.
        bias: the implementation of the bias metrics.
        contracts: the data sets in the lake, each by its file name in `contracts/`.
        on_destroy: whether buckets, keys, tables and roles are kept when a stack is destroyed.
        lake_formation: the governance of the lake.
        network: the VPC.
        budget: the monthly budget.
        alerts: recipients of alerts.
        triggers: automatic starts.
        serving: the endpoint.
        signing_keys: numbers of the keys whose signatures of versions count, rising; the last one
            signs. A higher number makes a new key, and a missing one is distrusted.
        promotion: source and target of promoted versions.
        device_check: how the pipeline checks a model on the instances of `serving` before
            registration: a temporary `endpoint`; a batch `transform`, which pins no driver and
            measures no latency; or `off`, which is recorded with the model and which tier `prod`
            refuses.
        package_index: where image builds install packages from; null is PyPI.
        licences: SPDX identifiers of the licences that a registered model's weights may have.
        image_digests: name in account/images/images.yaml -> pinned digest of that AWS image; the
            file says how to look it up.
    """

    project: Annotated[
        str, AfterValidator(_check_project_name), Field(json_schema_extra={"pattern": _PROJECT})
    ]
    environment: EnvironmentName
    tier: Tier
    account: str = Field(pattern=r"^\d{12}$")
    qualifier: str = Field(pattern=r"^[a-z0-9]{1,10}$")
    region: str = Field(pattern=r"^[a-z]{2}(-[a-z]+)+-\d$")
    packs: tuple[str, ...]
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
    signing_keys: Annotated[
        # A year's number would make, and be billed for, that many keys.
        tuple[Annotated[int, Field(ge=1, le=_MOST_KEYS)], ...],
        Field(min_length=1),
        AfterValidator(_check_rising),
    ]
    promotion: PromotionSection
    device_check: DeviceCheck
    package_index: PackageIndex | None
    licences: tuple[Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9.+-]*$")], ...] = Field(
        min_length=1
    )
    image_digests: dict[ImageName, ImageDigest]

    @field_validator("environment")
    @classmethod
    def _check_name_length(cls, value: str, others: ValidationInfo) -> str:
        project = others.data.get("project", "")
        if len(project) + len(value) > _LONGEST_PREFIX:
            raise ValueError(
                f"with `{project}` (`project`) it has {len(project) + len(value)} characters, and "
                f"bucket names have room for {_LONGEST_PREFIX}: shorten the file's name or the "
                "project's"
            )
        return value

    @field_validator("jobs")
    @classmethod
    def _check_training_plan(cls, value: JobsSection, others: ValidationInfo) -> JobsSection:
        """A plan is of one region, and cannot be shared across accounts (its Developer Guide)."""
        plan = value.training.training_plan
        place = [others.data.get("region"), others.data.get("account")]
        # On this machine a job's capacity has no meaning.
        if plan and plan.split(":")[3:5] != place and others.data.get("tier") != "local":
            raise ValueError(
                f"`training.training_plan` is not a plan of the environment's account and region, "
                f"{others.data.get('account')} in {others.data.get('region')}: "
                "`aws sagemaker list-training-plans` lists them"
            )
        return value

    @field_validator("network")
    @classmethod
    def _check_network(cls, value: NetworkSection, others: ValidationInfo) -> NetworkSection:
        region, zones = others.data.get("region"), {subnet.zone for subnet in value.subnets}
        elsewhere = sorted(zone for zone in zones if zone[:-1] != region)
        if region and elsewhere:
            raise ValueError(f"`subnets`: {elsewhere[0]} is no zone of {region} (`region`)")
        if others.data.get("tier") == "prod" and len(zones) == 1:
            raise ValueError(
                f"`subnets`: all are in {zones.pop()}; tier `prod` needs two zones, as the "
                "endpoint's instances are spread over them: add a subnet of another zone"
            )
        return value

    @field_validator("device_check")
    @classmethod
    def _check_device_check(cls, value: str, others: ValidationInfo) -> str:
        if value == "off" and others.data.get("tier") == "prod":
            raise ValueError(
                "not allowed in tier `prod`, which requires a check on the serving instance: "
                "set `endpoint` or `transform`"
            )
        serving = others.data.get("serving")
        if value == "transform" and serving:
            known = instance_types("TransformInstanceType")
            for target, instance in serving.known_instance_types().items():
                if instance not in known:
                    raise ValueError(
                        f"batch transform has no {instance} (`serving.instance_types.{target}`): "
                        "set `endpoint`, or another instance type"
                    )
        return value

    @field_validator("promotion")
    @classmethod
    def _check_neighbours(cls, value: PromotionSection, others: ValidationInfo) -> PromotionSection:
        own = others.data.get("environment")
        for neighbour in (value.source, value.target):
            if neighbour and neighbour.environment == own:
                raise ValueError(f"`{own}` is this file's own environment: name another one")
        return value

    @property
    def zone_names(self) -> tuple[str, ...]:
        """The availability zones of the jobs' subnets, each once, such as `us-east-1a`."""
        if self.network.vpc_id:
            return tuple(dict.fromkeys(subnet.zone for subnet in self.network.subnets))
        return tuple(f"{self.region}{letter}" for letter in self.network.zones or ())

    def role_arn(self, role: str) -> str:
        """Returns the ARN of one of the fixed-name job roles, such as `broker`."""
        return f"arn:aws:iam::{self.account}:role/{self.project}-{self.environment}-{role}"


def file_of(key: str, environment: str, *, folder: Path = Path("config")) -> Path:
    """Returns the file that sets a top-level key of an environment."""
    own = folder / f"{environment}.yaml"
    return own if key in read_yaml(own) else folder / "base.yaml"


def contract_files(settings: Settings) -> tuple[Path, ...]:
    """Returns the files of an environment's contracts."""
    return tuple(Path("contracts") / f"{name}.odcs.yaml" for name in settings.contracts)


def environment_names(*, folder: Path = Path("config")) -> tuple[str, ...]:
    """Returns the names of all environments."""
    names = {file.stem for file in folder.glob("*.yaml")}
    return tuple(sorted(names - {"base", "delivery"}))


def deployed_environments(*, folder: Path = Path("config")) -> tuple[str, ...]:
    """Returns the names of the environments with an AWS account.

    InputError if a file cannot be read or has no tier.
    """
    names = environment_names(folder=folder)
    return tuple(
        name for name in names if _read_environment_file(name, folder=folder)["tier"] != "local"
    )


def load_settings(environment: str, *, folder: Path = Path("config")) -> Settings:
    """Reads `base.yaml` and `<environment>.yaml`.

    InputError if the environment is unknown, or a file is missing or not valid.
    """
    base = folder / "base.yaml"
    if not base.is_file():
        root = next((p for p in Path.cwd().parents if (p / base).is_file()), None)
        where = "" if root is None else f": cd {root}"
        raise InputError(f"{base} does not exist: run the command in the repository's root{where}")
    known = environment_names(folder=folder)
    if environment not in known:
        raise InputError(
            f"unknown environment `{environment}`: those in {folder}/ are "
            f"{', '.join(f'{name}.yaml' for name in known) or 'none'}; name one of them (--env, or "
            f"ENV= of make), or add {folder}/{environment}.yaml"
        )
    values = _read_environment_file(environment, folder=folder) | {"environment": environment}
    layers = [Layer(str(base), read_yaml(base)), Layer(str(folder / f"{environment}.yaml"), values)]
    if "packs" in values:
        raise InputError(
            f"{layers[1].source}: key `packs` is the project's, not an environment's: write it in "
            f"{base}"
        )
    packs = enabled_packs(folder=folder)
    for layer in layers:
        check_sections(layer.value, packs, kind="environment", source=layer.source)
    return validate_layers(settings_model(packs), layers)


def settings_model(packs: Sequence[Pack]) -> type[Settings]:
    """Returns the model of an environment with the sections of packs."""
    return with_sections(Settings, packs, kind="environment")


def load_deployed(environment: str, *, folder: Path = Path("config")) -> Settings:
    """Reads the settings of an environment that has an account.

    InputError as `load_settings`, and if the environment is of tier `local`.
    """
    settings = load_settings(environment, folder=folder)
    if settings.tier == "local":
        raise InputError(
            f"environment `{environment}` is this machine: it has no account, and no stacks "
            f"(`tier: local` in {folder / environment}.yaml); use "
            f"{' or '.join(deployed_environments(folder=folder)) or 'one of another tier'}"
        )
    return settings


def _read_environment_file(environment: str, *, folder: Path) -> dict[str, Any]:
    """Reads an environment's own file, which must set `tier`."""
    file = folder / f"{environment}.yaml"
    own = read_yaml(file)
    if "tier" not in own:
        raise InputError(
            f"{file}: key `tier` is missing: it sets how strict the checks are; "
            f"allowed: {', '.join(get_args(Tier))}"
        )
    return own


Side = Literal["source", "target"]


def neighbour_settings(
    settings: Settings, side: Side, *, folder: Path = Path("config")
) -> Settings | None:
    """Reads the settings of the environment that `promotion` names; None where it names none.

    A grant to another account requires that both files name each other. InputError if the two files
    contradict each other.
    """
    neighbour = getattr(settings.promotion, side)
    if neighbour is None:
        return None
    location = f"{file_of('promotion', settings.environment, folder=folder)}: key `promotion.{side}"
    try:
        other = load_deployed(neighbour.environment, folder=folder)
    except InputError as error:
        raise InputError(f"{location}.environment`: {error}") from error
    other_file = file_of("account", other.environment, folder=folder)
    if neighbour.account != other.account:
        raise InputError(
            f"{location}.account`: {neighbour.account}, but {other_file} has {other.account}; set "
            "the same account in both files"
        )
    for key in ("project", "region"):
        own_value, other_value = getattr(settings, key), getattr(other, key)
        if own_value != other_value:
            raise InputError(
                f"{location}`: {other.environment} has {key} {other_value}, "
                f"{settings.environment} has {own_value}; versions are promoted within one project "
                "and one region"
            )
    opposite: Side = "target" if side == "source" else "source"
    counterpart = getattr(other.promotion, opposite)
    names = (settings.environment, settings.account)
    if counterpart is None or (counterpart.environment, counterpart.account) != names:
        raise InputError(
            f"{location}`: {folder / other.environment}.yaml does not name "
            f"{settings.environment} in turn; set `promotion: {{{opposite}: {{environment: "
            f'{settings.environment}, account: "{settings.account}"}}}}` there, or remove it here'
        )
    return other
