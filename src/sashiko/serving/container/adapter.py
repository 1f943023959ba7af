"""Merges a LoRA adapter into the weights of its base model.

The files are those of the library peft (`adapter_config.json`, `adapter_model.safetensors`), which
is not in the serving images: there a merge is `W + alpha / rank * B @ A` for each adapted layer.
"""

import hashlib
import json
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
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


class AdapterError(Exception):
    """The adapter cannot be merged; the message names cause and fix."""


@dataclass(frozen=True)
class Adapter:
    """An adapter's matrices.

    Attributes:
        scaling: what the product of two matrices counts.
        layers: name of a linear layer -> its matrices A (rank, inputs) and B (outputs, rank).
        head: the classifier's head, (2, width).
    """

    scaling: float
    layers: "dict[str, tuple[torch.Tensor, torch.Tensor]]"
    head: torch.Tensor

    def delta(self, name: str) -> torch.Tensor:
        """Returns what the adapter adds to the weights of a layer, float32."""
        first, second = self.layers[name]
        return self.scaling * (second @ first)


def is_adapter(folder: Path) -> bool:
    """Returns whether a folder holds an adapter in place of a whole model."""
    return (folder / ADAPTER_FILE).is_file()


def merge(source: Path, base: Path, folder: Path) -> None:
    """Writes the classifier that an adapter and its base model make together, in float32.

    Args:
        source: the adapter's folder, as Train wrote it.
        base: the folder of the base model.
        folder: where the merged model goes; it does not exist yet.

    Raises:
        AdapterError: if the adapter was trained on another base model, or does not fit it.
    """
    check_base(source, base)
    adapter = read_adapter(source)
    tensors = {
        name: tensor.float() for name, tensor in _tensors(base) if not name.startswith("lm_head.")
    }
    for name in adapter.layers:
        weight = f"{name}.weight"
        if weight not in tensors:
            raise AdapterError(f"{base} has no layer {name}, which the adapter changes")
        tensors[weight] = tensors[weight] + adapter.delta(name)
    tensors[_HEAD] = adapter.head
    folder.mkdir()
    for file in sorted(source.iterdir()):
        if file.name not in _MERGED_AWAY:
            shutil.copyfile(file, folder / file.name)
    _name_rotations(folder / _MODEL_CONFIG_FILE)
    save_file(tensors, str(folder / _MODEL_FILE), metadata={"format": "pt"})


def _name_rotations(path: Path) -> None:
    """Adds the names that transformers 4 has for the rotary embeddings' parameters.

    transformers 5 writes `rope_parameters`, which 4 ignores without a word: it would take its
    default, and so make another model. The Neuron image has 4.
    """
    config = json.loads(path.read_text(encoding="utf-8"))
    parameters = config.get("rope_parameters")
    if parameters and "rope_theta" in parameters:
        plain = parameters.get("rope_type", "default") == "default"
        config |= {
            "rope_theta": parameters["rope_theta"],
            "rope_scaling": None if plain else parameters,
        }
        text = json.dumps(config, indent=2, sort_keys=True) + "\n"
        path.write_text(text, encoding="utf-8")


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
        path = base / name
        actual = _sha256(path) if path.is_file() else "none"
        if actual != expected:
            raise AdapterError(
                f"the adapter was trained on another base model: {path} has sha256 {actual}, "
                f"expected {expected}; run Train again on this base"
            )


def merge_difference(
    model: Any, source: Path, base: Path, rows: "Sequence[Sequence[int]]"
) -> float:
    """Compares the merged model with base model and adapter side by side, both in float32.

    Args:
        model: the merged model: token ids and mask to P(positive).
        source: the adapter's folder.
        base: the folder of its base model.
        rows: token ids, at least one in each row.

    Returns:
        The largest absolute difference of a probability.
    """
    merged = _probabilities(model, rows)
    with _unmerged(model, read_adapter(source), base):
        apart = _probabilities(model, rows)
    return float((merged - apart).abs().max())


@contextmanager
def _unmerged(model: Any, adapter: Adapter, base: Path) -> Iterator[None]:
    """Puts the base model's weights back, and adds the adapter to each layer's output."""
    layers = {name: model.classifier.get_submodule(f"model.{name}") for name in adapter.layers}
    weights = {name: layer.weight.data for name, layer in layers.items()}
    hooks = [
        layer.register_forward_hook(_adds(adapter.scaling, *adapter.layers[name]))
        for name, layer in layers.items()
    ]
    for name, tensor in _tensors(base):
        layer_name = name[: -len(".weight")]
        if layer_name in layers:
            layers[layer_name].weight.data = tensor.float()
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
        for name, layer in layers.items():
            layer.weight.data = weights[name]


def _adds(scaling: float, first: torch.Tensor, second: torch.Tensor) -> Any:
    def hook(_: Any, inputs: "tuple[torch.Tensor, ...]", output: torch.Tensor) -> torch.Tensor:
        return output + scaling * (inputs[0] @ first.T @ second.T)

    return hook


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


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as handle:
        while chunk := handle.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()
