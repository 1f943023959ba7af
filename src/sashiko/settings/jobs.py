"""The settings of jobs: what each kind of them runs on."""

from typing import Self

from pydantic import model_validator

from sashiko.core.yaml_models import Frozen
from sashiko.settings.types import Duration, ProcessingInstance, SizeGb, TrainingInstance


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
