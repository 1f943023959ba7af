"""Tokenised rows, with the column that each token comes from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from sashiko.errors import InputError
from sashiko.evaluation.metrics.arrays import Ints
from sashiko.explain.explanation_record import TEMPLATE
from sashiko.serving.container.prompt import Prompt, SpecialTokens, mark_special

Piece = tuple[str | None, str]  # column, or None for the template's own words; text


@dataclass(frozen=True)
class Row:
    """A row's text and its tokens, up to the model's maximum length."""

    pieces: tuple[Piece, ...]  # the text in parts, in its order
    ids: Ints  # of each token, special ones included
    starts: Ints  # character at which each token starts in the text
    ends: Ints  # character after each token; a special token has no characters
    pieces_of: Ints  # index into `pieces` of each token; -1 for a special token
    words: Ints  # index of each token's word; -1 for a special token
    cut: tuple[str, ...]  # the truncated columns

    @property
    def text(self) -> str:
        """The whole text."""
        return "".join(text for _, text in self.pieces)

    @property
    def content(self) -> Ints:
        """Positions of the tokens that are not special."""
        return np.flatnonzero(self.pieces_of >= 0)

    @property
    def word_tokens(self) -> list[list[int]]:
        """Positions of the tokens of each word; a word across two pieces counts as two."""
        positions: dict[tuple[int, int], list[int]] = {}
        for position in self.content.tolist():
            word = int(self.words[position]), int(self.pieces_of[position])
            positions.setdefault(word, []).append(position)
        return list(positions.values())

    def column(self, piece: int) -> str:
        """Returns a piece's column, or the template."""
        return self.pieces[piece][0] or TEMPLATE


def read_tokens(
    rows: Sequence[tuple[Piece, ...]],
    tokenizer: Any,
    *,
    max_length: int,
    truncate: bool,
    prompt: Prompt | None = None,
) -> tuple[Row, ...]:
    """Tokenises texts and finds the piece that each token came from.

    Args:
        rows: the pieces of each text.
        tokenizer: a fast tokenizer of `transformers`, which returns character offsets.
        max_length: the longest row in tokens, special tokens included.
        truncate: cut longer rows instead of refusing them.
        prompt: of a causal LM; its tokens stand around the text's and count as special ones.

    Raises:
        InputError: if a row is longer than `max_length` and `truncate` is off.
    """
    texts = ["".join(text for _, text in row) for row in rows]
    options, room = _options(tokenizer, prompt), max_length - (prompt.size if prompt else 0)
    lengths = [len(ids) for ids in tokenizer(texts, verbose=False, **options)["input_ids"]]
    if max(lengths) > room and not truncate:
        raise InputError(
            f"a text has {max(lengths) + max_length - room} tokens, more than the {max_length} of "
            "the longest compile.sequence_lengths: raise it, or set text.truncate: true"
        )
    encoding = tokenizer(
        texts,
        truncation=True,
        max_length=room,
        return_offsets_mapping=True,
        return_special_tokens_mask=True,
        **options,
    )
    special = SpecialTokens.of(tokenizer.backend_tokenizer.to_str())
    return tuple(
        _row(pieces, encoding, index, special, prompt, is_cut=lengths[index] > room)
        for index, pieces in enumerate(rows)
    )


def token_ids(
    texts: Sequence[str], tokenizer: Any, *, max_length: int, prompt: Prompt | None
) -> list[Ints]:
    """Returns the ids of texts as the model reads them, cut to `max_length` tokens."""
    options, room = _options(tokenizer, prompt), max_length - (prompt.size if prompt else 0)
    encoding = tokenizer(
        list(texts), truncation=True, max_length=room, return_special_tokens_mask=True, **options
    )
    special = SpecialTokens.of(tokenizer.backend_tokenizer.to_str())
    rows = map(special.of_text, encoding["input_ids"], encoding["special_tokens_mask"])
    return [np.array(prompt.around(row) if prompt else row, dtype=np.int64) for row in rows]


def _options(tokenizer: Any, prompt: Prompt | None) -> Mapping[str, bool]:
    """Prepares the tokenizer, and returns how texts are tokenized, as `RowTokenizer` does."""
    if prompt:
        mark_special(tokenizer.backend_tokenizer)
    return {"add_special_tokens": prompt is None, "split_special_tokens": True}


def _row(
    pieces: tuple[Piece, ...],
    encoding: Any,
    index: int,
    special: SpecialTokens,
    prompt: Prompt | None,
    *,
    is_cut: bool,
) -> Row:
    """Returns a row; the prompt's tokens stand around its own, special and without characters."""
    starts, ends = np.array(encoding["offset_mapping"][index], dtype=np.int64).reshape(-1, 2).T
    template = encoding["special_tokens_mask"][index]
    words = [-1 if word is None else word for word in encoding.word_ids(index)]
    sizes = [len(text) for _, text in pieces]
    owners = np.repeat(np.arange(len(pieces)), sizes)
    pieces_of = []
    for own, start, end in zip(template, starts, ends, strict=True):
        if own:
            pieces_of.append(-1)
        elif end > start:  # the piece with most of its characters, the earlier one in a tie
            pieces_of.append(int(np.bincount(owners[start:end]).argmax()))
        else:  # a token without characters, which some tokenizers prepend, is of the next piece
            pieces_of.append(int(owners[min(start, len(owners) - 1)]))
    read_end = int(ends.max(initial=0)) if is_cut else len(owners)
    cut = [
        column or TEMPLATE
        for (column, text), end in zip(pieces, np.cumsum(sizes), strict=True)
        if text and end > read_end
    ]
    ids = special.of_text(encoding["input_ids"][index], template)
    around = (len(prompt.prefix), len(prompt.suffix)) if prompt else (0, 0)

    def pad(values: Sequence[int] | Ints, blank: int) -> Ints:
        return np.pad(np.array(values, dtype=np.int64), around, constant_values=blank)

    return Row(
        pieces=pieces,
        ids=np.array(prompt.around(ids) if prompt else ids, dtype=np.int64),
        starts=pad(starts, 0),
        ends=pad(ends, 0),
        pieces_of=pad(pieces_of, -1),
        words=pad(words, -1),
        cut=tuple(dict.fromkeys(cut)),
    )
