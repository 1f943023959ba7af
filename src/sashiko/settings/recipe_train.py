"""The recipe's sections `train` and `reweighing`, and the training job's hyperparameters."""

import json
from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field, model_validator

from sashiko.base.yaml_models import Frozen
from sashiko.settings.compile import LONGEST_ROW
from sashiko.settings.distributed import DistributedSection
from sashiko.settings.recipe_causal import LoraSection, PromptSection
from sashiko.settings.recipe_sources import Sha256


class TrainSection(Frozen):
    """Fine-tuning; the hyperparameters of SageMaker's training job."""

    epochs: int = Field(1, ge=1)
    batch_size: int = Field(32, ge=1)
    learning_rate: float = Field(3e-4, gt=0)
    warmup_ratio: float = Field(0.1, ge=0, lt=1)
    weight_decay: float = Field(0.01, ge=0)
    dropout: float = Field(0.0, ge=0, lt=1)
    frozen_layers: int = Field(3, ge=0, description="embeddings and this many lower layers")
    precision: Literal["auto", "bf16", "fp32"] = Field(
        "auto", description="auto: bf16 where the CPU or GPU has it"
    )
    accumulation_steps: int = Field(
        1,
        ge=1,
        exclude_if=lambda steps: steps == 1,
        description="parts of a batch that go through the model one after the other: less memory",
    )
    gradient_checkpointing: bool = Field(
        False,
        exclude_if=lambda enabled: not enabled,
        description="compute activations again in the backward pass: less memory, more time",
    )
    lora: LoraSection | None = Field(
        None,
        exclude_if=lambda lora: lora is None,
        description="with `family: causal`: train an adapter, and none of the model's own weights",
    )
    distributed: DistributedSection = Field(
        DistributedSection(),
        exclude_if=lambda section: section == DistributedSection(),
        description="train by several processes, on one instance or several",
    )
    calibration: Literal["none", "temperature"] = Field(
        "none",
        description="temperature: divide the logits by the number that fits the validation split "
        "best; it becomes part of the weights",
    )
    checkpoint_every_steps: int = Field(50, ge=1)
    seed: int = 0

    @model_validator(mode="after")
    def _check_batch_size(self) -> "TrainSection":
        if self.batch_size < self.distributed.world_size:
            raise ValueError(
                f"`batch_size` is {self.batch_size}, and `distributed` has "
                f"{self.distributed.world_size} processes, which each take a part of a batch: "
                "raise it, or start fewer"
            )
        return self


class Hyperparameters(TrainSection):
    """The training job's hyperparameters: the section, and values shared with the artifact."""

    max_length: int = Field(
        ge=8, le=LONGEST_ROW, description="tokens: the longest compiled sequence"
    )
    truncate: bool
    prompt: PromptSection | None = Field(None, exclude_if=lambda prompt: prompt is None)
    chat_template_sha256: Sha256 | None = Field(None, exclude_if=lambda digest: digest is None)

    @model_validator(mode="before")
    @classmethod
    def _decode_records(cls, values: Any) -> Any:
        """Decodes the records, which a training job takes as JSON in a string."""
        if not isinstance(values, Mapping):
            return values
        records = {
            key: json.loads(value)
            for key in ("distributed", "lora", "prompt")
            if isinstance(value := values.get(key), str)
        }
        return {**values, **records}

    def as_strings(self) -> dict[str, str]:
        """Returns them as a training job takes them: a boolean in lower case, a record as JSON."""
        values = self.model_dump(mode="json")
        return {
            key: json.dumps(value, sort_keys=True) if isinstance(value, bool | dict) else str(value)
            for key, value in values.items()
        }


class ReweighingSection(Frozen):
    """Kamiran and Calders' reweighing of the train split: weight = (expected/observed)^strength."""

    facets: tuple[str, ...] = ()
    strength: float = Field(0.0, ge=0, le=4, description="0 trains without weights")
