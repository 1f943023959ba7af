"""Which files a step finds in its configuration channel, and how it reads them.

A step gets the contract and the recipe sections that it uses, nothing else. The channel's S3
prefix is named by the files' digest, so the same URI always means the same bytes.
"""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

from pydantic import BaseModel, TypeAdapter

from sashiko.contract.model import Contract, load_contract
from sashiko.files import canonical_json, read_json, sha256_bytes
from sashiko.paths import processing_input
from sashiko.recipe import Recipe
from sashiko.waiver import Waiver
from sashiko.yaml_models import Frozen, validate

M = TypeVar("M", bound=BaseModel)


class _Waivers(Frozen):
    waivers: tuple[Waiver, ...]


_CONTRACT_FILE = "contract.odcs.yaml"
_STEP_SECTIONS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "Snapshot": ("contract",),
        "SnapshotFacets": ("contract",),
        "Validate": ("contract",),
        "ValidateFacets": ("contract",),
        "Prepare": ("contract", "data", "text"),
        "Weights": ("contract", "reweighing"),
        "Compile": ("compile", "text"),
        "Evaluate": ("evaluate", "quality", "train", "reweighing", "data"),
        "Explain": ("contract", "compile", "explain", "text"),
        "BiasInput": ("contract",),
        "JudgeBias": ("contract", "bias", "reweighing", "evaluate"),
        "Track": ("waivers",),
        "DeviceCheck": ("device", "waivers"),
        "Register": ("contract", "card", "train", "reweighing"),
    }
)
_FACET_STEPS = ("SnapshotFacets", "ValidateFacets", "Weights", "BiasInput", "JudgeBias")


def configured_steps(recipe: Recipe) -> tuple[str, ...]:
    """Names the recipe's steps that have a configuration channel of these sections."""
    left_out = () if recipe.bias.judged else _FACET_STEPS
    return tuple(step for step in _STEP_SECTIONS if step not in left_out)


def step_files(step: str, *, recipe: Recipe, contract_file: Path) -> dict[str, bytes]:
    """Returns the files of a step's configuration channel: name -> content."""
    files: dict[str, bytes] = {}
    for section in _STEP_SECTIONS[step]:
        if section == "contract":
            files[_CONTRACT_FILE] = contract_file.read_bytes()
        else:
            value = TypeAdapter(Any).dump_python(getattr(recipe, section), mode="json")
            files[f"{section}.json"] = canonical_json(value)
    return files


def content_uri(bucket: str, prefix: str, files: Mapping[str, bytes]) -> str:
    """Names the S3 prefix of a set of files by what is in them."""
    digests = {name: sha256_bytes(content) for name, content in files.items()}
    return f"s3://{bucket}/{prefix}/{sha256_bytes(canonical_json(digests))[:16]}"


def read_section(model: type[M], section: str) -> M:
    """Reads a recipe section inside a processing job.

    Raises:
        InputError: if the channel lacks the section or holds another version of it.
    """
    path = processing_input("config") / f"{section}.json"
    return validate(model, read_json(path), source=str(path))


def read_waivers() -> tuple[Waiver, ...]:
    """Reads the recipe's waivers inside a processing job.

    Raises:
        InputError: if the channel lacks them or holds something else.
    """
    path = processing_input("config") / "waivers.json"
    return validate(_Waivers, {"waivers": read_json(path)}, source=str(path)).waivers


def read_contract() -> Contract:
    """Reads the data contract inside a processing job."""
    return load_contract(processing_input("config") / _CONTRACT_FILE)
