"""Converts a GGUF file into a folder of safetensors weights, configuration and tokenizer."""

import json
from pathlib import Path

from sashiko.base.files import canonical_json, write_bytes
from sashiko.data.downloads import SourceUnavailable

# Of the library that converts, of the path that it reads, of the file's own number format.
_NOT_THE_MODELS = ("_name_or_path", "quantization_config", "transformers_version")


def convert_gguf(file: Path, folder: Path) -> None:
    """Writes a causal LM's weights in float32; the same file gives the same bytes.

    `save_pretrained` refuses a model that was read from GGUF as quantized, so the files are written
    one by one.

    Args:
        file: the GGUF file, in a folder of its own.
        folder: gets `config.json`, `model.safetensors` and the tokenizer's files.

    Raises:
        SourceUnavailable: if the file cannot be read, or its architecture is not known.
    """
    import torch
    from safetensors.torch import save_file
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from transformers.utils import logging

    logging.disable_progress_bar()
    logging.set_verbosity_error()
    try:
        model = AutoModelForCausalLM.from_pretrained(
            file.parent,
            gguf_file=file.name,
            dtype=torch.float32,
            local_files_only=True,
            trust_remote_code=False,
        )
        tokenizer = AutoTokenizer.from_pretrained(
            file.parent, gguf_file=file.name, local_files_only=True, trust_remote_code=False
        )
    except (ImportError, KeyError, OSError, ValueError) as error:
        raise SourceUnavailable(f"{file.name} cannot be converted: {error}") from error
    folder.mkdir(parents=True, exist_ok=True)
    tensors = model.state_dict()
    if model.config.tie_word_embeddings:
        tensors.pop("lm_head.weight", None)
    contiguous = {name: tensor.contiguous() for name, tensor in sorted(tensors.items())}
    save_file(contiguous, folder / "model.safetensors", metadata={"format": "pt"})
    config = json.loads(model.config.to_json_string(use_diff=True))
    for name in _NOT_THE_MODELS:
        config.pop(name, None)
    write_bytes(folder / "config.json", canonical_json(config))
    tokenizer.save_pretrained(folder)
