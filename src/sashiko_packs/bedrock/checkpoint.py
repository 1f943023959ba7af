"""Writes the language model of a registered version as the folder that Bedrock imports.

A version's artifact holds a sequence classifier: the merged layers, and the answers' two rows of
the language model's head. The base model has the rest: the whole head, the tokenizer, the template.
"""

import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sashiko.base.files import read_json, sha256_file, write_json
from sashiko.errors import InputError
from sashiko.serving.compile_lock import CausalLock
from sashiko_packs.bedrock.import_preflight import CONFIG_FILE
from sashiko_packs.bedrock.tokenizer_faults import NEW_CLASS, TOKENIZER_CONFIG_FILE, TOKENIZER_FILE
from sashiko_packs.bedrock.weight_faults import CLASSIFIER, EMBEDDINGS, HEAD

if TYPE_CHECKING:
    import torch

EAGER = "eager"  # of an artifact: the merged classifier itself
_TEMPLATE_FILE = "chat_template.jinja"
_COPIED = (TOKENIZER_FILE, "special_tokens_map.json", "generation_config.json")
_SHARD = "4GB"  # S3 takes 5 GiB in one piece, with a checksum of the whole


def write_checkpoint(artifact: Path, base: Path, lock: CausalLock, folder: Path) -> None:
    """Writes a Hugging Face folder of a causal LM; equal inputs give equal bytes.

    Args:
        artifact: the unpacked artifact of a version.
        base: the base model's folder.
        lock: what the version was merged of.
        folder: where the files go; it is empty.

    Raises:
        InputError: if the artifact holds no model but a compiled graph, the base model is another
            one, or the artifact's head is not that of the base model.
    """
    if not (artifact / EAGER / CONFIG_FILE).is_file():
        raise InputError(
            "the artifact holds a compiled graph and no model: Bedrock imports versions whose "
            "recipe has `compile: {target: gpu}`, which keep the merged model"
        )
    _check_base(base, lock)
    tokenizer = base / TOKENIZER_FILE
    if sha256_file(tokenizer) != sha256_file(artifact / TOKENIZER_FILE):
        raise InputError(f"{tokenizer} is not the tokenizer of the artifact: take the other base")
    _write_weights(artifact / EAGER, base, lock, folder)
    write_json(folder / CONFIG_FILE, _config(read_json(base / CONFIG_FILE)))
    write_json(folder / TOKENIZER_CONFIG_FILE, _tokenizer_config(base))
    for name in _COPIED:
        if (base / name).is_file():
            shutil.copyfile(base / name, folder / name)


def _check_base(base: Path, lock: CausalLock) -> None:
    for name, expected in lock.base.items():
        path = base / name
        if not path.is_file() or sha256_file(path) != expected:
            raise InputError(
                f"{path} is not the file that the version was merged with ({expected})"
            )


def _config(values: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the base model's configuration, in the words of transformers 4 beside those of 5.

    Bedrock does not say which version reads the folder. One that knows `rope_theta` alone would
    take its default, and the model would be another one.
    """
    config = {**values, "torch_dtype": "float32", "dtype": "float32"}
    rope = dict(values.get("rope_parameters") or {})
    theta = rope.pop("rope_theta", None)
    if theta is not None:
        config["rope_theta"] = theta
    if rope.get("rope_type", "default") != "default":
        config["rope_scaling"] = rope
    return config


def _tokenizer_config(base: Path) -> dict[str, Any]:
    values: dict[str, Any] = read_json(base / TOKENIZER_CONFIG_FILE)
    if values.get("tokenizer_class") == NEW_CLASS:
        values["tokenizer_class"] = "PreTrainedTokenizerFast"
    template = base / _TEMPLATE_FILE
    # A file of its own is newer than some readers.
    if template.is_file():
        values["chat_template"] = template.read_text(encoding="utf-8")
    return values


def _write_weights(eager: Path, base: Path, lock: CausalLock, folder: Path) -> None:
    from huggingface_hub import save_torch_state_dict

    tensors = dict(sorted(_tensors(eager)))
    score = tensors.pop(CLASSIFIER, None)
    head = dict(_tensors(base, only=HEAD)).get(HEAD)
    if head is not None:
        tensors[HEAD] = head.float()
    rows = tensors[EMBEDDINGS] if head is None else tensors[HEAD]
    if score is None or not score.equal(rows[list(lock.answers)].float()):
        raise InputError(
            f"the artifact's {CLASSIFIER} is not the answers' rows of the base model's head: the "
            "imported model would answer otherwise than the judged one"
        )
    save_torch_state_dict(tensors, str(folder), max_shard_size=_SHARD, metadata={"format": "pt"})


def _tensors(folder: Path, *, only: str | None = None) -> "Iterator[tuple[str, torch.Tensor]]":
    from safetensors import SafetensorError, safe_open

    for path in sorted(folder.glob("*.safetensors")):
        try:
            with safe_open(str(path), framework="pt") as file:
                for name in file.keys():  # noqa: SIM118 - not a mapping
                    if only in (None, name):
                        yield name, file.get_tensor(name)
        except (OSError, SafetensorError) as error:
            raise InputError(f"{path} cannot be read: {error}") from error
