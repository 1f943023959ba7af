"""The prompt of a row as a text, for a service that tokenizes it.

An imported model is asked by text, as a guardrail reads no token ids. The text is that of the
judged row's tokens; whether a tokenizer makes the same tokens of it is known before it is asked.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from sashiko.base.yaml_models import validate
from sashiko.errors import InputError
from sashiko.serving.container.prompt import Prompt, RowTokenizer, mark_special

_CONFIG_FILE = "serving.json"
_TOKENIZER_FILE = "tokenizer.json"


@dataclass(frozen=True, kw_only=True)
class PromptText:
    """A row's prompt."""

    text: str
    tokens: int  # of the judged row
    # Whether the tokenizer makes the judged row's tokens of the text: not if the row spells a
    # control token, or was cut within a character.
    exact: bool


class _Bucket(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")

    length: int


class _Prompt(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")

    prefix: tuple[int, ...]
    suffix: tuple[int, ...]
    answers: tuple[int, int]
    chat_template_sha256: str


class _ServingConfig(BaseModel):
    """The part of `serving.json` that the prompt follows from."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    truncate: bool
    buckets: tuple[_Bucket, ...]
    prompt: _Prompt | None = None


class PromptTexts:
    """Writes the prompts of an artifact's rows.

    Attributes:
        answers: the texts of the negative and the positive answer, as a service names their tokens.
    """

    def __init__(self, artifact: Path) -> None:
        """Reads an unpacked artifact.

        Raises:
            InputError: if it is no causal LM's, or an answer's token has the text of another token:
                an answer by text would not tell them apart.
        """
        from tokenizers import Tokenizer

        file = artifact / _CONFIG_FILE
        config = validate(
            _ServingConfig, json.loads(file.read_text(encoding="utf-8")), source=str(file)
        )
        if config.prompt is None:
            raise InputError(f"{file} has no prompt: the artifact is an encoder's")
        self._prompt = Prompt(**config.prompt.model_dump())
        content = (artifact / _TOKENIZER_FILE).read_text(encoding="utf-8")
        self._rows = RowTokenizer(
            content,
            max_length=max(bucket.length for bucket in config.buckets),
            truncate=config.truncate,
            prompt=self._prompt,
        )
        self._tokenizer: Any = Tokenizer.from_str(content)
        # Reads what spells a special or an added token as letters, as the judged row does.
        self._letters: Any = Tokenizer.from_str(content)
        mark_special(self._letters)
        self._letters.encode_special_tokens = True
        for tokenizer in (self._tokenizer, self._letters):
            tokenizer.no_padding()
            tokenizer.no_truncation()
        self.answers: tuple[str, str] = _names(self._tokenizer, self._prompt.answers)

    def write(self, text: str) -> PromptText:
        """Returns the prompt of a row's text.

        A tokenizer that begins each text with a token of its own, such as BOS, adds that of the
        prompt, so the text is without it.
        """
        [row] = self._rows.rows([text])
        kept = len(row) - self._prompt.size
        offsets = self._letters.encode(text, add_special_tokens=False).offsets
        read = text[: offsets[kept - 1][1]] if kept else ""
        added = self._tokenizer.encode("", add_special_tokens=True).ids
        prefix = list(self._prompt.prefix)
        own = prefix[len(added) :] if prefix[: len(added)] == added else prefix
        written = f"{self._decode(own)}{read}{self._decode(self._prompt.suffix)}"
        ids = self._tokenizer.encode(written, add_special_tokens=True).ids
        return PromptText(text=written, tokens=len(row), exact=ids == row)

    def _decode(self, ids: Any) -> str:
        return str(self._tokenizer.decode(list(ids), skip_special_tokens=False))


def _names(tokenizer: Any, answers: tuple[int, int]) -> tuple[str, str]:
    """Returns the texts of the answers' tokens, each of which no other token has."""
    texts = [
        tokenizer.decode([token], skip_special_tokens=False)
        for token in range(tokenizer.get_vocab_size())
    ]
    for token in answers:
        if texts.count(texts[token]) > 1:
            raise InputError(
                f"the answer {texts[token]!r} is the text of several tokens, and an answer names "
                "tokens by their text: choose another word in the recipe's prompt.answers"
            )
    negative, positive = answers
    return texts[negative], texts[positive]
