"""Turns texts into the token ids that a model reads, with the same code in training and serving.

A causal LM reads a text between the two parts of its prompt. Train tokenizes both once, so that no
chat template is rendered where the model is served.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tokenizers import Encoding

PROMPT_FILE = "prompt.json"  # beside the weights of a causal LM


@dataclass(frozen=True)
class Prompt:
    """What a causal LM reads beside the text, and the tokens that answer it.

    Attributes:
        prefix: token ids before the text, special ones included.
        suffix: token ids after the text: the question, up to where the answer begins.
        answers: the token ids of the negative and the positive answer.
        chat_template_sha256: of the chat template that the two parts were made with.
    """

    prefix: tuple[int, ...]
    suffix: tuple[int, ...]
    answers: tuple[int, int]
    chat_template_sha256: str

    @property
    def size(self) -> int:
        """The number of tokens beside the text."""
        return len(self.prefix) + len(self.suffix)

    def around(self, ids: Sequence[int]) -> list[int]:
        """Returns the row of a text's token ids."""
        return [*self.prefix, *ids, *self.suffix]


class RowTokenizer:
    """Tokenizes texts for an encoder, or for a causal LM with its prompt."""

    def __init__(
        self, file: Path, *, max_length: int, truncate: bool, prompt: Prompt | None = None
    ) -> None:
        """Opens a tokenizer.

        Args:
            file: its `tokenizer.json`.
            max_length: the largest number of tokens of a row, special ones and prompt included.
            truncate: cut the end of longer texts. The prompt is never cut.
            prompt: of a causal LM.
        """
        from tokenizers import Tokenizer  # steps that read no text import this file too

        self._prompt = prompt
        self._tokenizer = Tokenizer.from_file(str(file))
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()
        if truncate:
            self._tokenizer.enable_truncation(max_length - (prompt.size if prompt else 0))
        if prompt:
            # A text that spells a control token, such as <|im_end|>, is that text and no control
            # token: it cannot end the message and write the answer.
            self._tokenizer.encode_special_tokens = True

    def encode(self, texts: Sequence[str]) -> "list[Encoding]":
        """Returns the texts' encodings: an encoder's special tokens included, a prompt not."""
        encodings: list[Encoding] = self._tokenizer.encode_batch(
            list(texts), add_special_tokens=self._prompt is None
        )
        return encodings

    def rows(self, texts: Sequence[str]) -> list[list[int]]:
        """Returns the token ids of each text's row, of any length unless texts are cut."""
        prompt = self._prompt
        encodings = self.encode(texts)
        return [prompt.around(item.ids) if prompt else item.ids for item in encodings]


def write_prompt(prompt: Prompt, folder: Path) -> None:
    """Writes `prompt.json`."""
    text = json.dumps(asdict(prompt), indent=2, sort_keys=True) + "\n"
    (folder / PROMPT_FILE).write_text(text, encoding="utf-8")


def read_prompt(folder: Path) -> Prompt | None:
    """Reads the `prompt.json` beside a model; None for an encoder, which has none."""
    path = folder / PROMPT_FILE
    if not path.is_file():
        return None
    value = json.loads(path.read_text(encoding="utf-8"))
    return parse_prompt(value)


def parse_prompt(value: dict) -> Prompt:  # type: ignore[type-arg]
    """Returns the prompt in a JSON value."""
    negative, positive = value["answers"]
    return Prompt(
        prefix=tuple(value["prefix"]),
        suffix=tuple(value["suffix"]),
        answers=(negative, positive),
        chat_template_sha256=value["chat_template_sha256"],
    )
