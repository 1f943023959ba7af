"""Casts a model's weights, once, to the type that it is served in."""

import json
import shutil
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file

FLOAT32 = "float32"
_TYPES = {FLOAT32: torch.float32, "bfloat16": torch.bfloat16}
_CONFIG_FILE = "config.json"
_MODEL_FILE = "model.safetensors"
# Two rows of the LM's head. In float32 the two logits, whose difference is the score, are not
# rounded to 8 bits; vLLM computes a classifier's head in float32 too (its `head_dtype`).
_HEAD = "score.weight"


def cast_model(source: Path, folder: Path, *, dtype: str) -> Path:
    """Writes a causal LM's weights in another type; its head stays float32.

    Args:
        source: a Hugging Face folder in float32.
        folder: where the cast model goes; it does not exist yet.
        dtype: `float32` or `bfloat16`.

    Returns:
        The folder of the model that is served: `source` where nothing is to be cast.
    """
    if dtype == FLOAT32:
        return source
    folder.mkdir()
    for file in sorted(source.iterdir()):
        if file.name not in (_MODEL_FILE, _CONFIG_FILE):
            shutil.copyfile(file, folder / file.name)
    config = json.loads((source / _CONFIG_FILE).read_text(encoding="utf-8"))
    text = json.dumps({**config, "dtype": dtype}, indent=2, sort_keys=True) + "\n"
    (folder / _CONFIG_FILE).write_text(text, encoding="utf-8")
    with safe_open(str(source / _MODEL_FILE), framework="pt") as stored:
        tensors = {
            name: _cast(name, stored.get_tensor(name), dtype)
            for name in stored.keys()  # noqa: SIM118 - not a mapping
        }
    save_file(tensors, str(folder / _MODEL_FILE), metadata={"format": "pt"})
    return folder


def _cast(name: str, tensor: torch.Tensor, dtype: str) -> torch.Tensor:
    return tensor if name == _HEAD else tensor.to(_TYPES[dtype])
