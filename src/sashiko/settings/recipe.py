"""Recipes: what to fine-tune and how, one YAML file in `recipes/` each, as frozen records.

Each section is also a separate file in the configuration channel of the steps that use it, so that
a change reruns only the steps that depend on it.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from sashiko.core.yaml_models import Frozen, Layer, parse_override, read_yaml, validate_layers
from sashiko.errors import InputError
from sashiko.settings.bias import BiasSection
from sashiko.settings.card import CardSection
from sashiko.settings.causal import LoraSection, PromptSection
from sashiko.settings.monitor import MonitorSection
from sashiko.settings.quality import INJECTION_FLIP_RATE, EvaluateSection, QualitySection
from sashiko.settings.sources import DOWNLOADED, ModelSource, Sha256, Source
from sashiko.settings.types import TargetName
from sashiko.settings.waiver import Waiver

__all__ = ["Recipe", "load_recipe"]


def _row_limit(split: str) -> Any:
    """Returns a field that is serialised only if it is set, so that other recipes stay the same."""
    return Field(
        None,
        gt=0,
        exclude_if=lambda rows: rows is None,
        description=f"use at most this many rows of the {split} split",
    )


class DataSection(Frozen):
    """The sources of the rows, and how many of them to use."""

    sources: tuple[Source, ...] = Field(
        min_length=1, description="in order: the first reachable one whose digest matches wins"
    )
    sha256: Sha256 | None = Field(
        None, description="of the file; required for a pypi, huggingface or own source"
    )
    train_rows: int | None = Field(None, gt=0, description="use at most this many training rows")
    validation_rows: int | None = _row_limit("validation")
    test_rows: int | None = _row_limit("test")

    @model_validator(mode="after")
    def _check_pinned_downloads(self) -> "DataSection":
        for source in self.sources:
            if source.kind in DOWNLOADED and self.sha256 is None:
                raise ValueError(f"sha256 is required for a source of kind {source.kind}")
            if source.kind in ("huggingface", "own") and not source.member:
                raise ValueError(
                    f"a source of data of kind {source.kind} needs `member`: the file's path in it"
                )
        return self


class TextSection(Frozen):
    """The model's input text, from a row."""

    template: str = Field(description="text with {column} placeholders")
    missing: str = Field("unknown", description="replaces nulls")
    truncate: bool = Field(
        False, description="cut texts over the longest compiled sequence instead of refusing them"
    )


class ModelSection(Frozen):
    """The pre-trained model: its family, licence and sources, and the digest of every file."""

    name: str
    family: Literal["encoder", "causal"] = Field(
        "encoder",
        description="encoder: a new head reads the text; causal: an LM answers `prompt`",
    )
    licence: str | None = Field(
        None,
        pattern=r"^[A-Za-z0-9][A-Za-z0-9.+-]*$",
        description="SPDX identifier of the licence of the weights; a version needs one that "
        "`licences` of config/<env>.yaml names",
    )
    chat_template_sha256: Sha256 | None = Field(
        None, description="with `family: causal`: of the tokenizer's chat template, as UTF-8"
    )
    sources: tuple[ModelSource, ...] = Field(
        min_length=1, description="in order: the first reachable one whose digests match wins"
    )
    files: dict[str, Sha256] = Field(min_length=1, description="file name -> sha256")


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
    calibration: Literal["none", "temperature"] = Field(
        "none",
        description="temperature: divide the logits by the number that fits the validation split "
        "best; it becomes part of the weights",
    )
    checkpoint_every_steps: int = Field(50, ge=1)
    seed: int = 0


class Hyperparameters(TrainSection):
    """The training job's hyperparameters: the section, and values shared with the artifact."""

    max_length: int = Field(ge=8, le=512, description="tokens: the longest compiled sequence")
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
            for key in ("lora", "prompt")
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


class CompileSection(Frozen):
    """The artifact that will be served."""

    target: TargetName = Field(
        "cpu",
        description="cpu: ONNX; inf2: Neuron on Inferentia 2; gpu: torch on an NVIDIA GPU; or the "
        "project's own as package.module:attribute",
    )
    batch_sizes: tuple[Annotated[int, Field(ge=1, le=1024)], ...] = Field((1, 32), min_length=1)
    sequence_lengths: tuple[Annotated[int, Field(ge=8, le=512)], ...] = Field(
        (32, 64), min_length=1, description="tokens"
    )
    quantization: Literal["none", "int8"] = Field(
        "none",
        description="with cpu; int8 multiplies 8-bit integers and requires batch_sizes [1]",
    )
    tolerance: float = Field(
        1e-4,
        gt=0,
        description="largest difference of a probability from the trained model's; the default for "
        "int8 is 0.2",
    )
    auto_cast: Literal["none", "matmul", "all"] = Field(
        "none", description="with inf2: the operations that its compiler casts to bfloat16"
    )

    @model_validator(mode="before")
    @classmethod
    def _default_int8_tolerance(cls, section: Any) -> Any:
        is_int8 = isinstance(section, Mapping) and section.get("quantization") == "int8"
        return {"tolerance": 0.2, **section} if is_int8 else section

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
    seed: int = Field(0, description="of the sample of these rows")
    minimum_agreement: float = Field(0.99, gt=0, le=1, description="share of labels that are equal")
    maximum_difference: float = Field(
        0.02, gt=0, lt=1, description="largest difference of a probability"
    )
    maximum_p50_ms: float = Field(100, gt=0, description="median latency, milliseconds")
    maximum_p99_ms: float = Field(500, gt=0, description="99th percentile, milliseconds")


class ExplainSection(Frozen):
    """The depth of explanations: on two cores, seconds for `default` and minutes for `full`."""

    depth: Literal["default", "full"] = Field(
        "default",
        description="default: 40 rows; full: 512, in finer steps, more errors, and Shapley values",
    )


class Recipe(Frozen):
    """A whole recipe."""

    name: str = Field(pattern=r"^[a-z][a-z0-9-]{0,40}$")
    description: str
    contract: str = Field(description="path of the ODCS data contract, relative to the repository")
    model_package_group: str = Field(
        pattern=r"^[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}$",
        description="the group in the registry; variants of one model share it",
    )
    data: DataSection
    text: TextSection
    model: ModelSection
    prompt: PromptSection | None = Field(
        None, description="with `model.family: causal`: the question that the model answers"
    )
    train: TrainSection = TrainSection()
    reweighing: ReweighingSection = ReweighingSection()
    compile: CompileSection = CompileSection()
    evaluate: EvaluateSection = EvaluateSection()
    quality: QualitySection
    bias: BiasSection = BiasSection()
    device: DeviceSection = DeviceSection()
    monitor: MonitorSection = MonitorSection()
    card: CardSection = CardSection()
    waivers: tuple[Waiver, ...] = Field(
        (),
        description="release a failed gate: the verdict stays failed, the model is marked waived",
    )
    explain: ExplainSection = ExplainSection()

    @model_validator(mode="after")
    def _check_injections(self) -> "Recipe":
        gated = any(gate.metric == INJECTION_FLIP_RATE for gate in self.quality.gates)
        if gated and not self.evaluate.injections:
            raise ValueError(
                f"`quality.gates` bounds `{INJECTION_FLIP_RATE}`, which is not measured: set "
                "`evaluate.injections`, for example to 200 rows, or remove the gate"
            )
        return self

    @property
    def hyperparameters(self) -> Hyperparameters:
        """The training job's hyperparameters."""
        return Hyperparameters(
            **self.train.model_dump(),
            max_length=max(self.compile.sequence_lengths),
            truncate=self.text.truncate,
            prompt=self.prompt,
            chat_template_sha256=self.model.chat_template_sha256,
        )

    @model_validator(mode="after")
    def _check_family(self) -> "Recipe":
        causal = self.model.family == "causal"
        keys = {
            "prompt": self.prompt,
            "train.lora": self.train.lora,
            "model.chat_template_sha256": self.model.chat_template_sha256,
        }
        for key, value in keys.items():
            if causal and value is None:
                raise ValueError(f"`model.family: causal` needs `{key}`")
            if not causal and value is not None:
                raise ValueError(f"`{key}` goes with `model.family: causal`, and only with it")
        if causal and self.train.frozen_layers:
            raise ValueError(
                "`train.frozen_layers`: with `train.lora` all weights of the model are frozen: "
                "say 0; `train.lora.layers` limits what is adapted"
            )
        return self


def load_recipe(path: Path, *, overrides: tuple[str, ...] = ()) -> Recipe:
    """Reads a recipe; `extends` merges it over another file of the same folder, or over several.

    A file that names a model replaces the section `model` of those below it as a whole, as the
    digests of two models do not mix. `overrides` are `key.path=value` strings, which override the
    file.

    Raises:
        InputError: with file, key and allowed values, if the recipe is not valid.
    """
    layers: list[Layer] = []
    for file in reversed(recipe_files(path)):
        value = read_yaml(file)
        value.pop("extends", None)
        if _names_model(value):
            layers = [
                Layer(layer.source, {k: v for k, v in layer.value.items() if k != "model"})
                for layer in layers
            ]
        layers.append(Layer(str(file), value))
    layers += [Layer(f"--set {override}", parse_override(override)) for override in overrides]
    return validate_layers(Recipe, layers)


def recipe_files(path: Path) -> tuple[Path, ...]:
    """Returns a recipe's file and those that it extends, each before those that it is merged over.

    Raises:
        InputError: if a file is missing or not a YAML mapping, or `extends` is circular.
    """
    return tuple(_files(path, below=()))


def _files(path: Path, *, below: tuple[Path, ...]) -> Iterator[Path]:
    yield path
    parents = read_yaml(path).get("extends")
    names = parents if isinstance(parents, list) else [] if parents is None else [parents]
    for name in reversed(names):
        if not isinstance(name, str) or not name:
            raise InputError(f"{path}: key `extends`: expected a file name, or a list of them")
        extended = path.parent / name
        if not extended.is_file():
            raise InputError(f"{path}: key `extends`: {extended} does not exist")
        if extended.resolve() in {file.resolve() for file in (*below, path)}:
            raise InputError(f"{extended}: key `extends` is circular; remove it from one file")
        yield from _files(extended, below=(*below, path))


def _names_model(value: Mapping[str, Any]) -> bool:
    model = value.get("model")
    return isinstance(model, Mapping) and "name" in model
