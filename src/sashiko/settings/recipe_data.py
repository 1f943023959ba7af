"""The recipe's sections `data`, `text` and `model`: rows, the text made of each, and weights."""

from typing import Any, Literal

from pydantic import Field, model_validator

from sashiko.base.yaml_models import Frozen
from sashiko.settings.recipe_sources import DOWNLOADED, ModelSource, Sha256, Source


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
