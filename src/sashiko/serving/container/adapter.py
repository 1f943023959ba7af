"""Merges a LoRA adapter into the weights of its base model, and casts them to the served type.

The files are those of the library peft (`adapter_config.json`, `adapter_model.safetensors`), which
is not in the serving images: there a merge is `W + alpha / rank * B @ A` for each adapted layer.
"""

import hashlib
import json
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

ADAPTER_FILE = "adapter_model.safetensors"
ADAPTER_CONFIG_FILE = "adapter_config.json"
BASE_FILE = "base.json"  # name -> SHA-256 of each file of the base model
_MODEL_FILE = "model.safetensors"
_MODEL_CONFIG_FILE = "config.json"
_HEAD = "score.weight"
_PREFIX = "base_model.model."  # peft's, before each name
# Files of the adapter's folder that only a merge reads.
_MERGED_AWAY = (ADAPTER_FILE, ADAPTER_CONFIG_FILE, BASE_FILE, "answers.json")
_CHUNK_BYTES = 1 << 20
FLOAT32 = "float32"
_TYPES = {FLOAT32: torch.float32, "bfloat16": torch.bfloat16}


class AdapterError(Exception):
    """The adapter cannot be merged; the message names cause and fix."""


@dataclass(frozen=True)
class Adapter:
    """An adapter's matrices."""

    scaling: float  # what the product of two matrices counts
    # Name of a linear layer -> its matrices A (rank, inputs) and B (outputs, rank).
    layers: "dict[str, tuple[torch.Tensor, torch.Tensor]]"
    head: torch.Tensor  # the classifier's head, (classes, width)


def is_adapter(folder: Path) -> bool:
    """Returns whether a folder holds an adapter in place of a whole model."""
    return (folder / ADAPTER_FILE).is_file()


def merge(source: Path, base: Path, folder: Path) -> None:
    """Writes the classifier that an adapter and its base model make together, in float32.

    `source` is the adapter's folder, as Train wrote it; `folder` does not exist yet.

    Raises:
        AdapterError: if the adapter was trained on another base model, or does not fit it.
    """
    check_base(source, base)
    adapter = read_adapter(source)
    tensors = {
        name: tensor.float() for name, tensor in _tensors(base) if not name.startswith("lm_head.")
    }
    for name, (first, second) in adapter.layers.items():
        weight = f"{name}.weight"
        if weight not in tensors:
            raise AdapterError(f"{base} has no layer {name}, which the adapter changes")
        tensors[weight] = tensors[weight] + adapter.scaling * (second @ first)
    tensors[_HEAD] = adapter.head
    _copy_files(source, folder, without=_MERGED_AWAY)
    # transformers 5 writes `rope_parameters`, which 4 ignores without a word: it would take its
    # default, and so make another model. The Neuron image has 4, which has other names for them.
    path = folder / _MODEL_CONFIG_FILE
    config = json.loads(path.read_text(encoding="utf-8"))
    rotary = config.get("rope_parameters")
    if rotary and "rope_theta" in rotary:
        plain = rotary.get("rope_type", "default") == "default"
        config |= {"rope_theta": rotary["rope_theta"], "rope_scaling": None if plain else rotary}
        _write_config(config, path)
    save_file(tensors, str(folder / _MODEL_FILE), metadata={"format": "pt"})


def cast_model(source: Path, folder: Path, *, dtype: str) -> Path:
    """Writes a causal LM's weights once in the type that is served; its head stays float32.

    The head has a few rows of the LM's. In float32 their logits, whose differences are the scores,
    are not rounded to 8 bits; vLLM computes a classifier's head in float32 too (its `head_dtype`).

    Returns:
        The folder of the model that is served: `source` where nothing is to be cast.
    """
    if dtype == FLOAT32:
        return source
    _copy_files(source, folder, without=(_MODEL_FILE, _MODEL_CONFIG_FILE))
    config = json.loads((source / _MODEL_CONFIG_FILE).read_text(encoding="utf-8"))
    _write_config({**config, "dtype": dtype}, folder / _MODEL_CONFIG_FILE)
    tensors = {
        name: tensor if name == _HEAD else tensor.to(_TYPES[dtype])
        for name, tensor in _tensors(source)
    }
    save_file(tensors, str(folder / _MODEL_FILE), metadata={"format": "pt"})
    return folder


def _copy_files(source: Path, folder: Path, *, without: "Sequence[str]") -> None:
    folder.mkdir()
    for file in sorted(source.iterdir()):
        if file.name not in without:
            shutil.copyfile(file, folder / file.name)


def _write_config(config: "dict[str, Any]", path: Path) -> None:
    path.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def read_adapter(folder: Path) -> Adapter:
    """Reads an adapter.

    Raises:
        AdapterError: if it is damaged, or is of a kind that only peft can merge.
    """
    config = json.loads((folder / ADAPTER_CONFIG_FILE).read_text(encoding="utf-8"))
    for key in ("use_dora", "use_rslora", "fan_in_fan_out", "rank_pattern", "alpha_pattern"):
        if config.get(key):
            raise AdapterError(f"{folder / ADAPTER_CONFIG_FILE}: {key} is not supported")
    try:
        with safe_open(str(folder / ADAPTER_FILE), framework="pt") as file:
            tensors = {
                name[len(_PREFIX) :]: file.get_tensor(name).float()
                for name in file.keys()  # noqa: SIM118 - not a mapping
            }
    except (OSError, SafetensorError) as error:
        raise AdapterError(f"{folder / ADAPTER_FILE} cannot be read: {error}") from error
    suffix = ".lora_A.weight"
    names = sorted(name[: -len(suffix)] for name in tensors if name.endswith(suffix))
    if not names or _HEAD not in tensors:
        raise AdapterError(f"{folder / ADAPTER_FILE} lacks {_HEAD} or any LoRA matrix")
    return Adapter(
        scaling=config["lora_alpha"] / config["r"],
        layers={
            name: (tensors[f"{name}{suffix}"], tensors[f"{name}.lora_B.weight"]) for name in names
        },
        head=tensors[_HEAD],
    )


def base_digests(source: Path) -> "dict[str, str]":
    """Returns name -> SHA-256 of each file of the base model that an adapter was trained on."""
    digests: dict[str, str] = json.loads((source / BASE_FILE).read_text(encoding="utf-8"))
    return digests


def check_base(source: Path, base: Path) -> None:
    """Checks that a folder holds the base model that an adapter was trained on.

    Raises:
        AdapterError: names the file that differs.
    """
    for name, expected in base_digests(source).items():
        path, digest = base / name, hashlib.sha256()
        if path.is_file():
            with path.open("rb") as handle:
                while chunk := handle.read(_CHUNK_BYTES):
                    digest.update(chunk)
        actual = digest.hexdigest() if path.is_file() else "none"
        if actual != expected:
            raise AdapterError(
                f"the adapter was trained on another base model: {path} has sha256 {actual}, "
                f"expected {expected}; run Train again on this base"
            )


def merge_difference(
    model: Any, source: Path, base: Path, rows: "Sequence[Sequence[int]]"
) -> float:
    """Compares the merged model with base model and adapter side by side, both in float32.

    The merged model takes token ids and mask to probabilities; each row has at least one token.

    Returns:
        The largest absolute difference of a probability.
    """
    merged, parts = _probabilities(model, rows), read_adapter(source)
    layers = {name: model.classifier.get_submodule(f"model.{name}") for name in parts.layers}
    weights = {name: layer.weight.data for name, layer in layers.items()}
    # The base model's weights, and the adapter beside each layer.
    hooks = [
        layer.register_forward_hook(partial(_add, parts.scaling, *parts.layers[name]))
        for name, layer in layers.items()
    ]
    for name, tensor in _tensors(base):
        layer_name = name[: -len(".weight")]
        if layer_name in layers:
            layers[layer_name].weight.data = tensor.float()
    try:
        apart = _probabilities(model, rows)
    finally:
        for hook in hooks:
            hook.remove()
        for name, layer in layers.items():
            layer.weight.data = weights[name]
    return float((merged - apart).abs().max())


def _add(scaling: float, first: Any, second: Any, _: Any, inputs: Any, output: Any) -> Any:
    return output + scaling * (inputs[0] @ first.T @ second.T)


def _probabilities(model: Any, rows: "Sequence[Sequence[int]]") -> torch.Tensor:
    scores = []
    with torch.inference_mode():
        for row in rows:
            ids = torch.tensor([list(row)])
            scores.append(model(ids, torch.ones_like(ids))[0])
    return torch.stack(scores).double()


def _tensors(folder: Path) -> "Iterator[tuple[str, torch.Tensor]]":
    for path in sorted(folder.glob("*.safetensors")):
        try:
            with safe_open(str(path), framework="pt") as file:
                for name in file.keys():  # noqa: SIM118 - not a mapping
                    yield name, file.get_tensor(name)
        except (OSError, SafetensorError) as error:
            raise AdapterError(f"{path} cannot be read: {error}") from error
