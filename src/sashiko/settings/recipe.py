"""Recipes: what to fine-tune and how, one YAML file in `recipes/` each, as frozen records.

Each section is also a separate file in the configuration channel of the steps that use it, so that
a change reruns only the steps that depend on it.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from sashiko.base.yaml_models import Frozen, Layer, parse_override, read_yaml, validate_layers
from sashiko.errors import InputError
from sashiko.packs import Pack, enabled_packs
from sashiko.settings.recipe_bias import BiasSection
from sashiko.settings.recipe_data import DataSection, ModelSection, TextSection
from sashiko.settings.recipe_quality import (
    INJECTION_FLIP_RATE,
    SELECTIVE_METRICS,
    EvaluateSection,
    QualitySection,
    Waiver,
)
from sashiko.settings.recipe_train import (
    CompileSection,
    DeviceSection,
    Hyperparameters,
    PromptSection,
    ReweighingSection,
    TrainSection,
)
from sashiko.settings.sectioned import Sectioned, check_sections, with_sections

__all__ = ["Recipe", "load_recipe"]


_UNSTATED = "Not stated: key `card.{key}` of the recipe."
RiskRating = Literal["High", "Medium", "Low", "Unknown"]


class CardSection(Frozen):
    """Texts that are copied into the model card; keys follow SageMaker where it has them."""

    intended_uses: str = Field("", max_length=900, description="what the model may be used for")
    not_intended_uses: str = Field("", max_length=900, description="what it must not be used for")
    business_problem: str = Field("", max_length=2000, description="the problem that it solves")
    contacts: str = Field(
        "", max_length=900, description="the people responsible for it, and how to reach them"
    )
    risk_rating: RiskRating = Field("Unknown", description="by your organisation's rules")
    explanations_for_risk_rating: str = Field(
        "", max_length=2000, description="the reason for that rating"
    )

    def text(self, key: str) -> str:
        """Returns the recipe's text for a key, or that it is not stated."""
        return str(getattr(self, key)).strip() or _UNSTATED.format(key=key)


class ExplainSection(Frozen):
    """The depth of explanations: on two cores, seconds for `default` and minutes for `full`."""

    depth: Literal["default", "full"] = Field(
        "default",
        description="default: 40 rows; full: 512, in finer steps, and more errors",
    )


class Recipe(Sectioned):
    """A whole recipe; packs add sections (`section`)."""

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
    card: CardSection = CardSection()
    waivers: tuple[Waiver, ...] = Field(
        (),
        description="release a failed gate: the verdict stays failed, the model is marked waived",
    )
    explain: ExplainSection = ExplainSection()

    @model_validator(mode="after")
    def _check_measured(self) -> "Recipe":
        named: list[str] = [gate.metric for gate in self.quality.gates]
        named += [gate.metric for gate in self.bias.gates]
        for metric in named:
            of_policy = metric in (*SELECTIVE_METRICS, "abstention_rate")
            if of_policy and self.evaluate.abstain is None:
                raise ValueError(
                    f"a gate bounds `{metric}`, which is not measured: set "
                    "`evaluate.abstain`, for example to {accuracy: 0.9}, or remove the gate"
                )
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
            family="linear" if self.model.family == "linear" else None,
            max_length=max(self.compile.sequence_lengths),
            truncate=self.text.truncate,
            prompt=self.prompt,
            chat_template_sha256=self.model.chat_template_sha256,
        )

    @model_validator(mode="after")
    def _check_family(self) -> "Recipe":
        causal = self.model.family == "causal"
        if self.model.family == "linear" and self.train.distributed.strategy != "none":
            raise ValueError(
                "`train.distributed`: a linear model is trained by one process: remove the key"
            )
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

    A file that names a model, or says `family: linear`, replaces the section `model` of those below
    it as a whole, as the digests of two models do not mix. `overrides` are `key.path=value`
    strings, which override the file. InputError with file, key and allowed values, if the recipe is
    not valid.
    """
    given = [(str(file), read_yaml(file)) for file in reversed(recipe_files(path))]
    given += [(f"--set {override}", parse_override(override)) for override in overrides]
    layers: list[Layer] = []
    for source, value in given:
        model = value.get("model")
        if isinstance(model, Mapping) and ("name" in model or model.get("family") == "linear"):
            layers = [
                Layer(layer.source, {k: v for k, v in layer.value.items() if k != "model"})
                for layer in layers
            ]
        layers.append(Layer(source, {k: v for k, v in value.items() if k != "extends"}))
    packs = enabled_packs()
    for layer in layers:
        check_sections(layer.value, packs, kind="recipe", source=layer.source)
    return validate_layers(recipe_model(packs), layers)


def recipe_model(packs: Sequence[Pack]) -> type[Recipe]:
    """Returns the model of a recipe with the sections of packs."""
    return with_sections(Recipe, packs, kind="recipe")


def recipe_files(path: Path) -> tuple[Path, ...]:
    """Returns a recipe's file and those that it extends, each before those that it is merged over.

    InputError if a file is missing or not a YAML mapping, or `extends` is circular.
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
