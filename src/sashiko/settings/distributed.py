"""The recipe's section `train.distributed`: one training by several processes."""

from typing import Literal, Self

from pydantic import Field, model_validator

from sashiko.base.yaml_models import Frozen
from sashiko.settings.types import TrainingInstance


class DistributedSection(Frozen):
    """One training by several processes, each with a part of every batch.

    The batches, their order and the weights are those of one process.
    """

    strategy: Literal["none", "ddp", "fsdp"] = Field(
        "none",
        description="none: one process; ddp: each process has the whole model; fsdp: weights, "
        "gradients and optimiser are sharded over the processes",
    )
    nodes: int = Field(1, ge=1, le=64, description="instances of the training job")
    processes: int = Field(
        1, ge=1, le=64, description="on each node; on GPUs, one for each accelerator"
    )
    instance_type: TrainingInstance | None = Field(
        None, description="of the nodes; null: `jobs.training.instance_type` of the environment"
    )

    @property
    def world_size(self) -> int:
        """Processes on all nodes."""
        return self.nodes * self.processes

    @model_validator(mode="after")
    def _check_processes(self) -> Self:
        if self.strategy == "none" and self.world_size > 1:
            raise ValueError(
                f"`nodes` times `processes` is {self.world_size}, and `strategy: none` trains in "
                "one process: say ddp, or fsdp where the model does not fit one accelerator"
            )
        if self.strategy != "none" and self.world_size == 1:
            raise ValueError(
                f"`strategy: {self.strategy}` needs two processes or more: raise `nodes` or "
                "`processes`, or say `strategy: none`"
            )
        return self
