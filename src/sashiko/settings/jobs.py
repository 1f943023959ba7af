"""The instances of each kind of job."""

from typing import Self

from pydantic import model_validator

from sashiko.core.yaml_models import Frozen
from sashiko.settings.types import Duration, ProcessingInstance, SizeGb, TrainingInstance


class ProcessingJob(Frozen):
    """The resources of a processing job: `volume_size` in GB, `max_runtime` in seconds."""

    instance_type: ProcessingInstance
    volume_size: SizeGb
    max_runtime: Duration


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
    """

    instance_type: TrainingInstance
    volume_size: SizeGb
    max_runtime: Duration
    spot: SpotSection | None

    @model_validator(mode="after")
    def _check_max_wait(self) -> Self:
        if self.spot and self.spot.max_wait < self.max_runtime:
            raise ValueError(
                f"`spot.max_wait` ({self.spot.max_wait}s) is shorter than `max_runtime` "
                f"({self.max_runtime}s); SageMaker requires at least `max_runtime`"
            )
        return self


class JobsSection(Frozen):
    """Resources by kind of job: small steps share `processing`; `scoring` needs more memory."""

    processing: ProcessingJob
    scoring: ProcessingJob
    training: TrainingJob
