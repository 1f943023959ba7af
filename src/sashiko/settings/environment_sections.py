"""The sections of an environment's settings."""

import re
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from sashiko.base.yaml_models import Frozen
from sashiko.settings.types import (
    Duration,
    ProcessingInstance,
    SizeGb,
    TrainingInstance,
    instance_types,
)


def _check_fallbacks(first: str, others: tuple[str, ...]) -> None:
    if len({first, *others}) <= len(others):
        raise ValueError("`fallback_instance_types` names a type twice, or `instance_type`")


# TrainingPlanArn and TrainingPlanName of SageMaker's API.
_PLAN_ARN = (
    r"^arn:aws[a-z-]*:sagemaker:[a-z0-9-]+:\d{12}:training-plan/[a-zA-Z0-9](-*[a-zA-Z0-9]){0,63}$"
)


# InstancePreferences of SageMaker's API holds five types, of which `instance_type` is the first.
_MOST_FALLBACKS = 4


class ProcessingJob(Frozen):
    """The resources of a processing job: `volume_size` in GB, `max_runtime` in seconds.

    Attributes:
        fallback_instance_types: types to run on, in this order, where `instance_type` has no
            capacity; the account needs a quota for each.
    """

    instance_type: ProcessingInstance
    fallback_instance_types: Annotated[
        tuple[ProcessingInstance, ...], Field(max_length=_MOST_FALLBACKS)
    ] = ()
    volume_size: SizeGb
    max_runtime: Duration

    @model_validator(mode="after")
    def _check_fallbacks(self) -> Self:
        _check_fallbacks(self.instance_type, self.fallback_instance_types)
        return self


class ScoringJob(ProcessingJob):
    """The resources of the jobs that run the model on many rows, or compile it.

    Attributes:
        instance_count: of Score, whose instances share the rows; the other jobs have one.
    """

    # InstanceCount of SageMaker's ProcessingClusterConfig.
    instance_count: int = Field(1, ge=1, le=100, description="instances of Score, which share rows")


class SpotSection(Frozen):
    """Training on spot capacity; an interrupted job resumes from the last checkpoint.

    Attributes:
        max_wait: seconds until the job must end, including the wait for capacity.
    """

    max_wait: Duration


class TrainingJob(Frozen):
    """The resources of a training job: `volume_size` in GB, `max_runtime` in seconds.

    Attributes:
        fallback_instance_types: types to train on, in this order, where `instance_type` has no
            capacity; the account needs a quota for each.
        keep_alive: seconds for which the instances wait for another training job after one, and are
            paid for; None for none. The account needs a quota for warm pools of the type.
        spot: the use of spot capacity; None for on-demand capacity.
        training_plan: the ARN of a SageMaker training plan of the account, whose reserved instances
            are used; None for on-demand or spot capacity.
    """

    instance_type: TrainingInstance
    fallback_instance_types: Annotated[
        tuple[TrainingInstance, ...], Field(max_length=_MOST_FALLBACKS)
    ] = ()
    volume_size: SizeGb
    max_runtime: Duration
    # At most an hour: "Train Using SageMaker AI Managed Warm Pools", Developer Guide.
    keep_alive: Annotated[Duration, Field(le=3600)] | None = None
    spot: SpotSection | None
    training_plan: Annotated[str, Field(pattern=_PLAN_ARN)] | None

    @model_validator(mode="after")
    def _check_max_wait(self) -> Self:
        if self.spot and self.spot.max_wait < self.max_runtime:
            raise ValueError(
                f"`spot.max_wait` ({self.spot.max_wait}s) is shorter than `max_runtime` "
                f"({self.max_runtime}s); SageMaker requires at least `max_runtime`"
            )
        return self

    @model_validator(mode="after")
    def _check_capacity(self) -> Self:
        _check_fallbacks(self.instance_type, self.fallback_instance_types)
        if self.spot and (self.fallback_instance_types or self.keep_alive):
            raise ValueError(
                "`spot` excludes `fallback_instance_types` and `keep_alive`: SageMaker takes a "
                "list of types, and keeps a warm pool, on demand alone; set `spot: null`"
            )
        return self

    @model_validator(mode="after")
    def _check_training_plan(self) -> Self:
        if self.training_plan is None:
            return self
        if self.spot:
            raise ValueError(
                "`training_plan` and `spot` are two sources of capacity and exclude each other; "
                "set one of them to null"
            )
        reservable = instance_types("ReservedCapacityInstanceType")
        if self.instance_type not in reservable:
            raise ValueError(
                f"no training plan reserves {self.instance_type}; set `training_plan: null`, or "
                f"the plan's type: {', '.join(sorted(reservable))}"
            )
        return self


class JobsSection(Frozen):
    """Resources by kind of job: small steps share `processing`; `scoring` needs more memory."""

    processing: ProcessingJob
    scoring: ScoringJob
    training: TrainingJob


# No hyphen: the policies of `dev` match names such as `<project>-dev-*`, which would include those
# of an environment `dev-eu`. `<project>-devicecheck-` is the prefix of all checks on devices.
_ENVIRONMENT = r"^(?!(base|delivery|devicecheck)$)[a-z][a-z0-9]*$"


def _check_environment_name(environment: str) -> str:
    if not re.fullmatch(_ENVIRONMENT, environment):
        raise ValueError(
            "an environment has the name of its file in config/: lower-case letters and digits, a "
            "letter first, and not `base`, `delivery` or `devicecheck`; rename the file"
        )
    return environment


EnvironmentName = Annotated[
    str, AfterValidator(_check_environment_name), Field(json_schema_extra={"pattern": _ENVIRONMENT})
]


class BiasSection(Frozen):
    """The implementation of the bias metrics.

    Attributes:
        backend: `own`, this project's image; `clarify`, AWS's image on the same inputs, for an
            account that used SageMaker Clarify before AWS closed it to new customers.
    """

    backend: Literal["own", "clarify"]


class LakeFormationSection(Frozen):
    """The governance of the lake.

    Attributes:
        mode: `enforced` grants access by Lake Formation; `iam_only` by IAM only, for an account
            whose Lake Formation is managed by another team.
        account_stack: whether this environment deploys the account-wide resources: the data-lake
            settings, the LF-Tags and the log groups of SageMaker's jobs. Set it in at most one
            environment of an account.
    """

    mode: Literal["enforced", "iam_only"]
    account_stack: bool


class BudgetSection(Frozen):
    """The monthly budget and its alerts.

    Attributes:
        amount: US dollars a month; alerts are sent at 80 % actual and at 100 % forecast spend.
        covers: `account`, the whole account; `environment`, resources with the tags `project` and
            `environment`, which must be activated in billing first.
    """

    amount: float = Field(gt=0)
    covers: Literal["account", "environment"]


class PackageIndex(Frozen):
    """A repository of AWS CodeArtifact, in the environment's region.

    Attributes:
        domain: its domain.
        owner: the AWS account of the domain.
        repository: its name; it has what the locks name, its own or from an upstream such as PyPI.
    """

    domain: str = Field(pattern=r"^[a-z][a-z0-9-]{0,48}[a-z0-9]$")
    owner: str = Field(pattern=r"^\d{12}$")
    repository: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{1,99}$")


class AlertsSection(Frozen):
    """Recipients of alerts: budget, failures, closed gates, models pending approval.

    Attributes:
        emails: subscribed to the environment's topic; each confirms a link in the first e-mail.
    """

    emails: tuple[Annotated[str, Field(pattern=r"^[^@\s]+@[^@\s]+\.[^@\s]+$")], ...]


class TriggersSection(Frozen):
    """Automatic starts.

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
    """The environments between which approved versions are copied; each names the other.

    Attributes:
        source: the environment whose versions this one may copy; null for none.
        target: the environment whose role `promoter` may read this one's registered models; null
            for none.
    """

    source: Neighbour | None
    target: Neighbour | None
