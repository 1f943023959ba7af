"""The instances of each kind of job."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from sashiko.base.yaml_models import Frozen
from sashiko.settings.types import (
    Duration,
    ProcessingInstance,
    SizeGb,
    TrainingInstance,
    instance_types,
)

# TrainingPlanArn and TrainingPlanName of SageMaker's API.
_PLAN_ARN = (
    r"^arn:aws[a-z-]*:sagemaker:[a-z0-9-]+:\d{12}:training-plan/[a-zA-Z0-9](-*[a-zA-Z0-9]){0,63}$"
)


class ProcessingJob(Frozen):
    """The resources of a processing job: `volume_size` in GB, `max_runtime` in seconds."""

    instance_type: ProcessingInstance
    volume_size: SizeGb
    max_runtime: Duration


class ScoringJob(ProcessingJob):
    """The resources of the jobs that run the model on many rows, or compile it.

    Attributes:
        instance_count: of Score, whose instances share the rows; the other jobs have one.
    """

    # InstanceCount of SageMaker's ProcessingClusterConfig.
    instance_count: int = Field(1, ge=1, le=100, description="of Score, which share the rows")


class SpotSection(Frozen):
    """Training on spot capacity; an interrupted job resumes from the last checkpoint.

    Attributes:
        max_wait: seconds until the job must end, including the wait for capacity.
    """

    max_wait: Duration


class TrainingJob(Frozen):
    """The resources of a training job: `volume_size` in GB, `max_runtime` in seconds.

    Attributes:
        spot: the use of spot capacity; None for on-demand capacity.
        training_plan: the ARN of a SageMaker training plan of the account, whose reserved instances
            are used; None for on-demand or spot capacity.
    """

    instance_type: TrainingInstance
    volume_size: SizeGb
    max_runtime: Duration
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
