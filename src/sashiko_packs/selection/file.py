"""A selection's file, `selections/<name>.yaml`, and the geographies of its models."""

import datetime as dt
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from sashiko.base.yaml_models import Frozen, read_yaml, validate
from sashiko.errors import InputError
from sashiko.settings.recipe_quality import INJECTION_FLIP_RATE, QUALITY_METRICS, QualityGate
from sashiko.settings.recipe_train import PromptSection

_FILE = Path(__file__).with_name("geographies.yaml")


class Geographies(Frozen):
    """The dated table."""

    read: dt.date
    sources: tuple[str, ...] = Field(min_length=1)  # AWS's pages
    geographies: dict[str, str]  # prefix of an inference profile's id -> what it opens
    providers: tuple[str, ...]  # first part of an id without a prefix


class Travel(Frozen):
    """Where a candidate's texts may be processed."""

    geography: str  # a name of the table; empty: they stay where the model is served
    where: str  # the same in words


STAYS = Travel(geography="", where="they stay in your account")


@cache
def geographies() -> Geographies:
    """Reads the packaged table."""
    return validate(Geographies, read_yaml(_FILE), source=str(_FILE))


def travel_of(model: str, *, region: str) -> Travel:
    """Returns where the texts of a request may be processed.

    The model is a foundation model's id or that of a system-defined inference profile; the Region
    is the one that is called.

    Raises:
        InputError: if the id has a prefix that the table does not have, or is an ARN.
    """
    table = geographies()
    prefix, dot, _ = model.partition(".")
    if dot and prefix in table.geographies:
        return Travel(geography=prefix, where=f"from {region} to {table.geographies[prefix]}")
    if dot and prefix in table.providers:
        return Travel(geography="", where=f"Bedrock in {region}")
    raise InputError(
        f"model {model}: its prefix is neither a provider nor a known geography "
        f"({', '.join(table.geographies)}), so nobody can say where texts would be processed: "
        "give the id of a foundation model or of a system-defined inference profile, or add the "
        f"prefix with AWS's page to {_FILE.name}"
    )


def check_geographies(names: tuple[str, ...]) -> None:
    """Checks that a selection's geographies are those of the table.

    Raises:
        InputError: naming the key and the allowed values.
    """
    known = geographies().geographies
    for name in names:
        if name not in known:
            raise InputError(
                f"key `musts.geographies`: `{name}` is not known; expected {', '.join(known)}"
            )


# By label: number of classes, 3 for more. Those of decisions, as some models have no scores.
ORDERING: Mapping[int | str, tuple[str, ...]] = MappingProxyType(
    {
        2: ("balanced_accuracy", "accuracy", "f1"),
        3: ("macro_f1", "balanced_accuracy", "accuracy"),
        "number": ("rmse", "mae", "r2"),
    }
)
_GATED = (*QUALITY_METRICS, INJECTION_FLIP_RATE)
OrderMetric = Literal["accuracy", "balanced_accuracy", "f1", "macro_f1", "rmse", "mae", "r2"]
Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,40}$")]
RecipeFile = Annotated[str, Field(description="a recipe's name or file, as `--recipe` takes it")]


class Rows(Frozen):
    """The rows that every candidate is judged on: the test split of a recipe.

    The recipe also gives the contract, the text template, and the bias gates.
    """

    recipe: RecipeFile
    test_rows: int | None = Field(
        None, gt=0, description="at most this many, drawn by a hash of the key; null: as the recipe"
    )


class LinearCandidate(Frozen):
    """The linear model of a recipe: what `sashiko run --set model.family=linear` trains."""

    kind: Literal["linear"]
    recipe: RecipeFile


class RecipeCandidate(Frozen):
    """The model that a recipe trains; what earlier runs did comes from the cache."""

    kind: Literal["recipe"]
    recipe: RecipeFile


class VersionCandidate(Frozen):
    """A registered version of this machine's registry, at its own threshold."""

    kind: Literal["version"]
    recipe: RecipeFile
    version: int = Field(ge=1, description="its number, as `sashiko model list` shows it")


class BedrockCandidate(Frozen):
    """A model of Amazon Bedrock, through the Converse API, which returns no scores."""

    kind: Literal["bedrock"]
    model: str = Field(
        min_length=1,
        max_length=256,
        description="id of a foundation model or of a cross-Region inference profile; its prefix "
        "opens a geography: us.amazon.nova-2-lite-v1:0",
    )
    region: str = Field(pattern=r"^[a-z]{2}(-[a-z]+)+-\d$", description="that is called")
    licence: str = Field(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9.+-]*$",
        description="SPDX identifier, or LicenseRef-<name> for the provider's own terms",
    )
    prompt: PromptSection
    examples: int = Field(
        0, ge=0, le=64, description="few-shot: training rows in the prompt, as many of each label"
    )
    output: Literal["text", "json_schema", "tool"] = Field(
        "text",
        description="text: the answer's word; json_schema: `outputConfig`; tool: a forced tool",
    )
    max_tokens: int = Field(
        16, ge=1, le=65_536, description="of an answer, reasoning included; reserved in the budget"
    )
    temperature: float | None = Field(
        0.0, ge=0, le=1, description="null: send none, as some models refuse the key"
    )
    additional_fields: dict[str, Any] = Field(
        default_factory=dict,
        description="the model's own parameters, sent as `additionalModelRequestFields`, such as "
        "those of reasoning, whose tokens count in `max_tokens`",
    )
    unanswered: str = Field(
        description="the label that is decided where the model gives no valid answer"
    )

    @model_validator(mode="after")
    def _check(self) -> "BedrockCandidate":
        if self.unanswered not in self.prompt.answers:
            labels = " or ".join(self.prompt.answers)
            raise ValueError(f"`unanswered`: expected a label of `prompt.answers`: {labels}")
        if self.examples % (count := len(self.prompt.answers)):
            raise ValueError(f"`examples`: expected a multiple of {count}: as many of each label")
        return self


Candidate = Annotated[
    LinearCandidate | RecipeCandidate | VersionCandidate | BedrockCandidate,
    Field(discriminator="kind"),
]


class Musts(Frozen):
    """What drops a candidate, whatever it costs. The bias gates are those of `rows.recipe`."""

    quality: tuple[QualityGate, ...] = Field(min_length=1)
    unanswered: float = Field(
        0.05,
        ge=0,
        le=1,
        description="the largest share of test rows to which a model of Bedrock gives no valid "
        "answer, refusals included: somebody has to decide them",
    )
    geographies: tuple[str, ...] = Field(
        (),
        description="where texts may be processed beside the Region that serves them: names of "
        "sashiko_packs/selection/geographies.yaml, such as us or eu; empty: nowhere else",
    )
    licences: tuple[str, ...] | None = Field(
        None, description="allowed licences; null: `licences` of config/<env>.yaml"
    )

    @model_validator(mode="after")
    def _check_gates(self) -> "Musts":
        for number, gate in enumerate(self.quality):
            if gate.better_than not in (None, "majority", "mean"):
                raise ValueError(
                    f"`quality.{number}.better_than`: only majority, or mean of a number: the "
                    "linear baseline and registered versions are candidates here"
                )
            if gate.metric not in _GATED:
                raise ValueError(
                    f"`quality.{number}.metric`: expected one of {', '.join(_GATED)}; a metric of "
                    "the project's own, or of `evaluate.abstain`, is judged by the recipe's gates"
                )
        return self


class Privacy(Frozen):
    """The permission to send rows to Bedrock, and why it is given."""

    may_leave_account: bool
    reason: str = Field(min_length=10, max_length=500)


class Budget(Frozen):
    """The most that all requests of a recording may take together, retries included."""

    tokens: int = Field(gt=0, description="input and output")
    usd: float | None = Field(
        None, gt=0, description="US dollars, by the token prices; null: only tokens count"
    )


class Bedrock(Frozen):
    """How Bedrock is called."""

    budget: Budget
    concurrency: int = Field(4, ge=1, le=64, description="requests at a time")
    recording: str = Field(
        "",
        description="file of the answers, relative to the repository; empty: "
        "recordings/<selection>.jsonl beside the selection",
    )


class Selection(Frozen):
    """A whole selection."""

    description: str
    rows: Rows
    metric: OrderMetric = Field(
        "balanced_accuracy",
        description="orders the candidates; f1 is of two classes, macro_f1 of more; rmse, mae and "
        "r2 are of a number",
    )
    minimum_effect: float = Field(
        gt=0,
        lt=1,
        description="the smallest relevant lead: a candidate is as good as the best one only if "
        "it is shown to lose less than this; for rmse and mae in standard deviations of the label",
    )
    injections: int = Field(
        0, ge=0, le=200, description="test rows to score with a prompt injection; 0: none"
    )
    load: float = Field(
        gt=0, description="predictions per second, all month; what an instance costs depends on it"
    )
    musts: Musts
    candidates: dict[Name, Candidate] = Field(min_length=2)
    privacy: Privacy | None = Field(None, description="needed by candidates of kind bedrock")
    bedrock: Bedrock | None = Field(None, description="likewise")

    @model_validator(mode="after")
    def _check_bedrock(self) -> "Selection":
        names = [name for name, item in self.candidates.items() if item.kind == "bedrock"]
        if not names:
            return self
        if self.privacy is None or not self.privacy.may_leave_account:
            raise ValueError(
                f"candidate {names[0]} sends rows to Bedrock: set `privacy.may_leave_account: "
                "true` and `privacy.reason`, or remove the candidate"
            )
        if self.bedrock is None:
            raise ValueError(f"candidate {names[0]} needs `bedrock.budget`")
        return self

    @model_validator(mode="after")
    def _check_injections(self) -> "Selection":
        gated = any(gate.metric == INJECTION_FLIP_RATE for gate in self.musts.quality)
        if gated and not self.injections:
            raise ValueError(
                f"`musts.quality` bounds `{INJECTION_FLIP_RATE}`, which is not measured: set "
                "`injections`"
            )
        return self


def load_selection(path: Path) -> Selection:
    """Reads a selection.

    Raises:
        InputError: with file, key and allowed values, if it is not valid.
    """
    if not path.is_file():
        known = ", ".join(str(file) for file in sorted(Path("selections").glob("*.yaml")))
        raise InputError(f"there is no selection {path}" + (f"; known: {known}" if known else ""))
    return validate(Selection, read_yaml(path), source=str(path))


def recording_path(selection: Selection, file: Path) -> Path:
    """Returns the file of Bedrock's answers: the selection's own, or one beside it."""
    named = selection.bedrock.recording if selection.bedrock else ""
    return Path(named) if named else file.parent / "recordings" / f"{file.stem}.jsonl"
