"""What an environment is: `config/base.yaml` with `config/<env>.yaml` laid over it."""

import re
from functools import cache
from pathlib import Path
from typing import Annotated, Literal, Self, get_args

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    PlainSerializer,
    ValidationInfo,
    WithJsonSchema,
    field_validator,
    model_validator,
)

from sashiko.errors import InputError
from sashiko.targets import SERVING_FAMILIES, Target, serves
from sashiko.yaml_models import Frozen, Layer, read_yaml, validate_layers

_DURATION = re.compile(r"^(\d+)\s*(s|m|h|d)$")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_SIZE = re.compile(r"^(\d+)\s*GB$")


def _parse_duration(value: object) -> int:
    match = _DURATION.match(str(value))
    if not match:
        raise ValueError("expected a duration with its unit: 90s, 30m, 2h or 1d")
    return int(match[1]) * _SECONDS[match[2]]


def _parse_size(value: object) -> int:
    match = _SIZE.match(str(value))
    if not match:
        raise ValueError("expected a size in GB, such as 30GB")
    return int(match[1])


@cache
def _instance_types(shape: str) -> frozenset[str]:
    """Reads an enum of SageMaker's API as botocore ships it; no call is made."""
    from botocore.loaders import Loader

    model = Loader().load_service_model("sagemaker", "service-2")
    return frozenset(model["shapes"][shape]["enum"])


_PROJECT = r"^[a-z][a-z0-9-]{1,18}$"
_PACKAGE_ARN = r"^arn:aws:sagemaker:[a-z0-9-]+:\d{12}:model-package/[A-Za-z0-9-]+/\d+$"


def _known_to(shape: str, job: str) -> AfterValidator:
    def check(value: str) -> str:
        allowed = _instance_types(shape)
        if value not in allowed:
            family = value.rsplit(".", 1)[0]
            near = sorted(name for name in allowed if name.startswith(family + ".")) or sorted(
                name for name in allowed if name.startswith("ml.m5.")
            )
            raise ValueError(f"{job} has no such instance type; allowed: {', '.join(near)}")
        return value

    return AfterValidator(check)


def _serves(target: Target) -> AfterValidator:
    def check(value: str) -> str:
        if not serves(target, value):
            near = ", ".join(f"ml.{family}" for family in SERVING_FAMILIES[target])
            raise ValueError(f"the image of this target does not run on it; allowed: {near}")
        return value

    return AfterValidator(check)


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


ImageName = Literal["job-cpu", "job-gpu", "serving-cpu", "serving-gpu", "serving-inf2", "clarify"]
ImageDigest = Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$")]
EnvironmentName = Literal["dev", "local", "prod"]
Duration = Annotated[
    int,
    BeforeValidator(_parse_duration),
    PlainSerializer(lambda seconds: f"{seconds}s", when_used="json"),
    WithJsonSchema({"type": "string", "pattern": _DURATION.pattern}),
]
SizeGb = Annotated[
    int,
    BeforeValidator(_parse_size),
    PlainSerializer(lambda size: f"{size}GB", when_used="json"),
    WithJsonSchema({"type": "string", "pattern": _SIZE.pattern}),
]
ProcessingInstance = Annotated[str, _known_to("ProcessingInstanceType", "a processing job")]
TrainingInstance = Annotated[str, _known_to("TrainingInstanceType", "a training job")]
HostingInstance = Annotated[str, _known_to("ProductionVariantInstanceType", "an endpoint")]


# YAML 1.1 reads `off` as false.
DeviceCheck = Annotated[
    Literal["endpoint", "transform", "off"],
    BeforeValidator(lambda value: "off" if value is False else value),
]


class ProcessingJob(Frozen):
    """What a processing job runs on. `volume_size` in GB, `max_runtime` in seconds once read."""

    instance_type: ProcessingInstance
    volume_size: SizeGb
    max_runtime: Duration


class SpotSection(Frozen):
    """Training on capacity that AWS may take back, and then goes on from the last checkpoint.

    Attributes:
        max_wait: seconds in which the job must end, the wait for capacity included.
    """

    max_wait: Duration


class TrainingJob(Frozen):
    """What a training job runs on. `volume_size` in GB, `max_runtime` in seconds once read.

    Attributes:
        spot: how spot capacity is used; None for on-demand capacity.
    """

    instance_type: TrainingInstance
    volume_size: SizeGb
    max_runtime: Duration
    spot: SpotSection | None

    @model_validator(mode="after")
    def _long_enough(self) -> Self:
        if self.spot and self.spot.max_wait < self.max_runtime:
            raise ValueError(
                f"`spot.max_wait` ({self.spot.max_wait}s) is shorter than `max_runtime` "
                f"({self.max_runtime}s), which SageMaker refuses: it counts the run too"
            )
        return self


class JobsSection(Frozen):
    """Small steps share `processing`; scoring and compiling need more memory."""

    processing: ProcessingJob
    scoring: ProcessingJob
    training: TrainingJob


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
    """

    cidr: str = Field(pattern=r"^\d{1,3}(\.\d{1,3}){3}/(1[6-9]|2[01])$")
    zones: Annotated[tuple[ZoneLetter, ...], Field(min_length=1), AfterValidator(_each_once)]
    s3_prefix_lists: dict[str, Annotated[str, Field(pattern=r"^pl-[0-9a-f]+$")]]


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


def _whole_days(seconds: int) -> int:
    if seconds == 0 or seconds % _SECONDS["d"]:
        raise ValueError("S3 deletes by the day: give whole days, such as 14d")
    return seconds


class CaptureSection(Frozen):
    """The share of requests and answers that is kept. They are personal data.

    Attributes:
        percent: of the requests; 0 keeps none.
        retention: seconds once read; then they are deleted, old versions a day later.
    """

    percent: int = Field(ge=0, le=100)
    retention: Annotated[Duration, AfterValidator(_whole_days)]


class ServingInstances(Frozen):
    """What an endpoint runs on, by the recipe's `compile.target`."""

    cpu: Annotated[HostingInstance, _serves("cpu")]
    gpu: Annotated[HostingInstance, _serves("gpu")]
    inf2: Annotated[HostingInstance, _serves("inf2")]


class ServingSection(Frozen):
    """The endpoint.

    Attributes:
        enabled: whether there is one; it costs by the hour.
        model_package_arn: the approved version that it serves. Another version, or an older one
            again, is a change of this line.
        instance_types: by the recipe's `compile.target`.
        min_instances: from 2 on an update goes to one instance first (canary); prod needs 2.
        max_instances: how far it scales out.
        invocations_per_instance: a minute; what scaling aims at.
        p99_latency_ms: milliseconds in the model; an update during which the 99th percentile is
            above is rolled back.
        error_rate: share of 5XX answers above which an update is rolled back.
        capture: what is kept of requests and answers.
    """

    enabled: bool
    model_package_arn: Annotated[str, Field(pattern=_PACKAGE_ARN)] | None = None
    instance_types: ServingInstances
    min_instances: int = Field(ge=1)
    max_instances: int = Field(ge=1)
    invocations_per_instance: int = Field(ge=1)
    p99_latency_ms: int = Field(ge=1)
    error_rate: float = Field(gt=0, lt=1)
    capture: CaptureSection


class TriggersSection(Frozen):
    """What starts by itself.

    Attributes:
        etl: an extract's `_SUCCESS` marker in the raw bucket starts its table's ETL job.
        pipeline: a loaded version of a recipe's table starts its pipeline.
    """

    etl: bool
    pipeline: bool


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
        device_check: how the pipeline asks a model on the instances of `serving` before it is
            registered: an `endpoint` that lives for minutes; a batch `transform`, which pins no
            driver and shows no latency; or `off`, which the model's record keeps, and prod refuses.
        image_digests: name in aws/images.yaml -> digest by which that image of AWS is pinned;
            `sashiko images` prints how to look one up.
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
            known = _instance_types("TransformInstanceType")
            for target, instance in serving.instance_types:
                if instance not in known:
                    raise ValueError(
                        f"batch transform has no {instance} (`serving.instance_types.{target}`): "
                        "set `endpoint`, or another instance type"
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
