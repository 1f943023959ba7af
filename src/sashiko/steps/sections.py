"""Writes and reads a step's configuration channel: contract and recipe sections.

A step gets only the contract and the recipe sections that its line in `pipelines/` names. The
channel's S3 prefix contains the files' digest, so a URI always refers to the same bytes.
"""

import base64
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, BeforeValidator, PlainSerializer, TypeAdapter

from sashiko.base.files import canonical_json, read_json, sha256_bytes
from sashiko.base.job_folders import processing_input
from sashiko.base.yaml_models import Frozen, validate
from sashiko.contract.load import load_contract
from sashiko.contract.model import Contract
from sashiko.errors import InputError
from sashiko.settings.recipe import Recipe
from sashiko.settings.recipe_data import ModelSection
from sashiko.settings.recipe_quality import Waiver

__all__ = ["read_contract"]

M = TypeVar("M", bound=BaseModel)
_CONTRACT = "contract"
_CONTRACT_FILE = "contract.odcs.yaml"
# Base64 in JSON, since content may not be UTF-8.
_Content = Annotated[
    bytes,
    BeforeValidator(lambda value: base64.b64decode(value) if isinstance(value, str) else value),
    PlainSerializer(lambda value: base64.b64encode(value).decode(), when_used="json"),
]


class Channel(Frozen):
    """Files and the S3 prefix from which a job reads them."""

    uri: str  # the prefix, without a trailing slash
    files: Mapping[str, _Content]  # name -> content


class _Waivers(Frozen):
    waivers: tuple[Waiver, ...]


def make_channel(bucket: str, folder: str, files: Mapping[str, bytes]) -> Channel:
    """Returns a channel whose URI contains the digest of its files."""
    digests = {name: sha256_bytes(content) for name, content in files.items()}
    digest = sha256_bytes(canonical_json(digests))[:16]
    return Channel(uri=f"s3://{bucket}/{folder}/{digest}", files=files)


def config_files(
    step: str, sections: Sequence[str], *, recipe: Recipe, contract_file: Path
) -> dict[str, bytes]:
    """Returns the files of a step's configuration channel: name -> content.

    Raises:
        InputError: if the recipe has no such section.
    """
    files: dict[str, bytes] = {}
    for section in sections:
        if section == _CONTRACT:
            files[_CONTRACT_FILE] = contract_file.read_bytes()
        elif section in type(recipe).model_fields:
            value = TypeAdapter(Any).dump_python(getattr(recipe, section), mode="json")
            files[f"{section}.json"] = canonical_json(value)
        else:
            raise InputError(
                f"pipelines/: step {step}: `config` names `{section}`, which is not a section of "
                f"a recipe; available: {', '.join(sorted(type(recipe).model_fields))}"
            )
    return files


def read_section(model: type[M], section: str) -> M:
    """Reads a recipe section inside a processing job.

    Raises:
        InputError: if the channel lacks the section or holds another version of it.
    """
    path = _file(f"{section}.json", section)
    return validate(model, read_json(path), source=str(path))


def is_linear() -> bool:
    """Returns whether the recipe's model is linear, and reads rows as JSON objects.

    The pipeline gives a step the section `model` for that, and only of such a recipe.
    """
    given = (processing_input("config") / "model.json").is_file()
    return given and read_section(ModelSection, "model").family == "linear"


def read_waivers() -> tuple[Waiver, ...]:
    """Reads the recipe's waivers inside a processing job.

    Raises:
        InputError: if the channel lacks them or holds something else.
    """
    path = _file("waivers.json", "waivers")
    return validate(_Waivers, {"waivers": read_json(path)}, source=str(path)).waivers


def read_contract() -> Contract:
    """Reads the data contract inside a processing job.

    Raises:
        InputError: if the channel lacks it, or it is not valid.
    """
    return load_contract(_file(_CONTRACT_FILE, _CONTRACT))


def _file(name: str, section: str) -> Path:
    """Returns a file of the channel; an error names the pipeline step that omits it."""
    path = processing_input("config") / name
    if path.is_file():
        return path
    spec = getattr(sys.modules["__main__"], "__spec__", None)
    step = f'the step with `module="{spec.name}"`' if spec else "the step"
    raise InputError(f'{path} does not exist: in pipelines/ add "{section}" to `config` of {step}')
