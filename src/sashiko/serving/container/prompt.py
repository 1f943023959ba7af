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
    from tokenizers import Encoding, Tokenizer

PROMPT_FILE = "prompt.json"  # beside the weights of a causal LM


@dataclass(frozen=True)
class Prompt:
    """What a causal LM reads beside the text, and the tokens that answer it.

    Attributes:
        prefix: token ids before the text, special ones included.
        suffix: token ids after the text: the question, up to where the answer begins.
        answers: the token ids of the answers, in the order of the classes.
        chat_template_sha256: of the chat template that the two parts were made with.
    """

    prefix: tuple[int, ...]
    suffix: tuple[int, ...]
    answers: tuple[int, ...]
    chat_template_sha256: str

    @property
    def size(self) -> int:
        """The number of tokens beside the text."""
        return len(self.prefix) + len(self.suffix)

    def around(self, ids: Sequence[int]) -> list[int]:
        """Returns the row of a text's token ids."""
        return [*self.prefix, *ids, *self.suffix]


@dataclass(frozen=True)
class SpecialTokens:
    """The tokens that no text may write: they end a message, or part an encoder's texts.

    A tokenizer that does not look for them in a text (`encode_special_tokens`) may still make them
    of it, where its vocabulary has them as words or pieces: those of XLM-R and ALBERT do.

    Attributes:
        ids: of all of them but the unknown token.
        unknown: the id of the unknown token; None for a vocabulary of bytes, which makes none.
    """

    ids: frozenset[int]
    unknown: int | None

    @classmethod
    def of(cls, content: str) -> "SpecialTokens":
        """Reads them of a `tokenizer.json`."""
        value = json.loads(content)
        model = value["model"]
        # Unigram's vocabulary is a list.
        named = "unk_id" not in model
        unknown = model["vocab"].get(model.get("unk_token")) if named else model["unk_id"]
        ids = {token["id"] for token in value["added_tokens"] if token["special"]}
        return cls(ids=frozenset(ids - {unknown}), unknown=unknown)

    def of_text(self, ids: Sequence[int], template: Sequence[int]) -> list[int]:
        """Returns ids with the unknown token for each special one that a text has written.

        Args:
            ids: of a row.
            template: 1 for each token that the tokenizer itself has put around the text, else 0.
        """
        if self.unknown is None:
            return [*ids]
        return [
            self.unknown if token in self.ids and not own else token
            for token, own in zip(ids, template, strict=True)
        ]


def mark_special(tokenizer: "Tokenizer") -> None:
    """Marks all tokens that were added to a causal LM's vocabulary as special, in place.

    `encode_special_tokens` keeps a text from writing those alone. Chat models have others, such as
    `</think>`, that are as powerful in a text. An encoder's may be words, and stay as they are.
    """
    added = tokenizer.get_added_tokens_decoder().values()
    tokenizer.add_special_tokens([token.content for token in added if not token.special])


class RowTokenizer:
    """Tokenizes texts for an encoder, or for a causal LM with its prompt.

    A text that spells a special token, such as [SEP] or <|im_end|>, is read as those letters; to a
    causal LM also one that spells any other added token.
    """

    def __init__(
        self, content: str, *, max_length: int, truncate: bool, prompt: Prompt | None = None
    ) -> None:
        """Makes a tokenizer.

        Args:
            content: of its `tokenizer.json`.
            max_length: the largest number of tokens of a row, special ones and prompt included.
            truncate: cut the end of longer texts. The prompt is never cut.
            prompt: of a causal LM.
        """
        from tokenizers import Tokenizer  # steps that read no text import this file too

        self._prompt = prompt
        self._tokenizer = Tokenizer.from_str(content)
        if prompt:
            mark_special(self._tokenizer)
        self._special = SpecialTokens.of(self._tokenizer.to_str())
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()
        if truncate:
            self._tokenizer.enable_truncation(max_length - (prompt.size if prompt else 0))
        self._tokenizer.encode_special_tokens = True

    def rows(self, texts: Sequence[str]) -> list[list[int]]:
        """Returns the token ids of each text's row, of any length unless texts are cut."""
        prompt = self._prompt
        encodings: list[Encoding] = self._tokenizer.encode_batch(
            list(texts), add_special_tokens=prompt is None
        )
        rows = [self._special.of_text(item.ids, item.special_tokens_mask) for item in encodings]
        return [prompt.around(row) for row in rows] if prompt else rows


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
    return Prompt(
        prefix=tuple(value["prefix"]),
        suffix=tuple(value["suffix"]),
        answers=tuple(value["answers"]),
        chat_template_sha256=value["chat_template_sha256"],
    )
