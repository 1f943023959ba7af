"""The recipe's sections `train` and `reweighing`, and the training job's hyperparameters."""

import json
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from sashiko.base.yaml_models import Frozen
from sashiko.settings.recipe_data import Sha256
from sashiko.settings.types import Dtype, TargetName, TrainingInstance


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
        None, description="instance type of the nodes; null: `jobs.training.instance_type`"
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


TEXT_PLACEHOLDER = "{text}"
# "HyperParameters", CreateTrainingJob, Amazon SageMaker AI API Reference: characters of one value.
LONGEST_HYPERPARAMETER = 2500
Answer = Annotated[str, Field(min_length=1, max_length=40)]


class PromptSection(Frozen):
    """The question that a causal LM answers; its scores are the probabilities of the answers.

    The chat template of the model's tokenizer turns the two messages into tokens, once.
    """

    system: str = Field(
        "", description="the system message; empty: that of the chat template, if it has one"
    )
    template: str = Field(
        description="the user's message; {text} stands for the row's text (text.template), once"
    )
    answers: dict[str, Answer] = Field(
        min_length=2,
        description="label's value in the contract -> answer of one token: {late: yes, paid: no}",
    )

    @field_validator("template")
    @classmethod
    def _check_placeholder(cls, value: str) -> str:
        count = value.count(TEXT_PLACEHOLDER)
        if count != 1:
            raise ValueError(
                f"{TEXT_PLACEHOLDER}, which stands for the row's text, must occur once; it occurs "
                f"{count} times"
            )
        return value

    @model_validator(mode="after")
    def _check_answers_and_size(self) -> "PromptSection":
        if len(set(self.answers.values())) < len(self.answers):
            raise ValueError("`answers`: each label needs an answer of its own")
        size = len(json.dumps(self.model_dump()))
        if size > LONGEST_HYPERPARAMETER:
            raise ValueError(
                f"it has {size:,} characters as JSON, and SageMaker's hyperparameters have room "
                f"for {LONGEST_HYPERPARAMETER:,}: shorten `system`, `template` or `answers`"
            )
        return self


class LoraSection(Frozen):
    """LoRA: low-rank matrices that are trained beside the frozen weights of the base model.

    Source: E. Hu et al., LoRA: Low-Rank Adaptation of Large Language Models (ICLR 2022).
    """

    rank: int = Field(8, ge=1, le=256)
    alpha: int = Field(16, ge=1, description="the matrices' product counts alpha / rank")
    target_modules: tuple[str, ...] = Field(
        ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"),
        min_length=1,
        description="names of the linear layers that get an adapter, in each adapted layer",
    )
    layers: int | None = Field(
        None, ge=1, description="adapt this many of the top layers; null: all of them"
    )


LONGEST_ROW = 512  # tokens, special ones and a causal LM's prompt included


class CompileSection(Frozen):
    """The artifact that will be served."""

    target: TargetName = Field(
        "cpu",
        description="cpu: ONNX; inf2: Neuron on Inferentia 2; gpu: torch on an NVIDIA GPU; or the "
        "project's own as package.module:attribute",
    )
    batch_sizes: tuple[Annotated[int, Field(ge=1, le=1024)], ...] = Field((1, 32), min_length=1)
    sequence_lengths: tuple[Annotated[int, Field(ge=8, le=LONGEST_ROW)], ...] = Field(
        (32, 64), min_length=1, description="tokens"
    )
    quantization: Literal["none", "int8"] = Field(
        "none", description="with cpu; int8 multiplies 8-bit integers and requires batch_sizes [1]"
    )
    dtype: Dtype = Field(
        "float32",
        description="type of a causal LM's weights when judged and served; merged in float32, "
        "then cast once",
    )
    tolerance: float = Field(
        1e-4,
        gt=0,
        description="largest difference of a probability, or of a number in standard deviations, "
        "from the trained model's; the default for int8 is 0.2, and for bfloat16 0.1",
    )
    auto_cast: Literal["none", "matmul", "all"] = Field(
        "none", description="with inf2: the operations that its compiler casts to bfloat16"
    )

    @property
    def rounded(self) -> str | None:
        """The type that the model is served in, if that is not float32, in which it is trained."""
        if self.quantization != "none":
            return self.quantization
        return None if self.dtype == "float32" else self.dtype

    @model_validator(mode="before")
    @classmethod
    def _default_tolerance(cls, section: Any) -> Any:
        if not isinstance(section, Mapping):
            return section
        if section.get("quantization") == "int8":
            return {"tolerance": 0.2, **section}
        return {"tolerance": 0.1, **section} if section.get("dtype") == "bfloat16" else section

    @model_validator(mode="after")
    def _check_int8_batches(self) -> "CompileSection":
        if self.quantization == "int8" and self.batch_sizes != (1,):
            raise ValueError(
                "`quantization: int8` takes `batch_sizes: [1]`: the rows of a batch share a "
                "scale, so each row would change the scores of the others"
            )
        return self


class DeviceSection(Frozen):
    """The device gate: allowed differences between a deployed artifact and the judged predictions.

    Latency is measured by one caller in the VPC that sends single-row requests sequentially.
    """

    rows: int = Field(200, ge=20, le=2000, description="rows of the test split to send")
    seed: int = Field(0, description="seed of the sample of these rows")
    minimum_agreement: float = Field(0.99, gt=0, le=1, description="least share of equal labels")
    maximum_difference: float = Field(
        0.02,
        gt=0,
        lt=1,
        description="largest difference of a probability; of a number, in standard deviations",
    )
    maximum_p50_ms: float = Field(100, gt=0, description="median latency, milliseconds")
    maximum_p99_ms: float = Field(500, gt=0, description="99th percentile, milliseconds")


class TrainSection(Frozen):
    """Fine-tuning; the hyperparameters of SageMaker's training job."""

    epochs: int = Field(1, ge=1)
    batch_size: int = Field(32, ge=1)
    learning_rate: float = Field(3e-4, gt=0)
    warmup_ratio: float = Field(0.1, ge=0, lt=1)
    weight_decay: float = Field(0.01, ge=0)
    dropout: float = Field(0.0, ge=0, lt=1)
    frozen_layers: int = Field(3, ge=0, description="freeze embeddings and so many lower layers")
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

    family: Literal["linear"] | None = Field(None, exclude_if=lambda family: family is None)
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
