"""Faults of a model's tokenizer and chat template."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from sashiko.base.files import read_json, sha256_bytes
from sashiko.errors import InputError
from sashiko_packs.bedrock.faults import Fault

TOKENIZER_FILE = "tokenizer.json"
TOKENIZER_CONFIG_FILE = "tokenizer_config.json"
# Named by transformers 5 alone; older versions cannot load a tokenizer of this class.
NEW_CLASS = "TokenizersBackend"


def tokenizer_faults(
    folder: Path, config: Mapping[str, Any], *, chat_template_sha256: str
) -> Iterator[Fault]:
    """Yields the faults of the tokenizer in a Hugging Face folder.

    Args:
        folder: the folder.
        config: its `config.json`.
        chat_template_sha256: of the template that the model was trained and judged with.
    """
    yield from _vocabulary_faults(folder / TOKENIZER_FILE, config)
    path = folder / TOKENIZER_CONFIG_FILE
    try:
        values = read_json(path)
    except InputError as error:
        yield Fault("tokenizer-config", f"{error}: take the base model's")
        return
    if values.get("tokenizer_class") == NEW_CLASS:
        yield Fault(
            "tokenizer-class",
            f"{path} names the class {NEW_CLASS}, which transformers before 5 does not have: "
            "name PreTrainedTokenizerFast, which reads the same tokenizer.json",
        )
    yield from _template_faults(values.get("chat_template"), path, expected=chat_template_sha256)


def _vocabulary_faults(path: Path, config: Mapping[str, Any]) -> Iterator[Fault]:
    from tokenizers import Tokenizer

    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as error:  # the library raises no class of its own
        yield Fault("tokenizer", f"{path} cannot be read ({error}): take the base model's")
        return
    largest = max(tokenizer.get_vocab(with_added_tokens=True).values(), default=0)
    rows = config.get("vocab_size")
    if isinstance(rows, int) and largest >= rows:
        yield Fault(
            "token-ids",
            f"{path} has the token id {largest}, the model has embeddings for {rows}: it is "
            "another model's tokenizer",
        )


def _template_faults(template: Any, path: Path, *, expected: str) -> Iterator[Fault]:
    if not isinstance(template, str) or not template:
        yield Fault(
            "chat-template",
            f"{path} has no chat_template: Bedrock could not render messages; choose a base model "
            "that was trained to follow instructions",
        )
        return
    digest = sha256_bytes(template.encode())
    if digest != expected:
        yield Fault(
            "chat-template-digest",
            f"{path}: the chat template has sha256 {digest}; the model was judged with {expected}",
        )
