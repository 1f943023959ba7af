"""Scores texts with the compiled shapes: each takes one (batch, length) and no other."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from backend import Backend
from bundle import TOKENIZER_FILE, Bucket, Bundle
from numpy.typing import NDArray
from payload import BadRequestError
from tokenizers import Tokenizer

Tokens = Sequence[int]
# The tokenizer takes 300 bytes a letter and more than a second a million of them, whatever it then
# keeps, so no text of a megabyte may reach it, and not all texts of a request at once.
MAX_LETTERS = 100_000


class Scorer:
    """Tokenises, pads to the nearest bucket, and runs."""

    def __init__(self, folder: Path, bundle: Bundle, backend: Backend) -> None:
        """Opens the tokenizer.

        Args:
            folder: the unpacked artifact.
            bundle: its `serving.json`.
            backend: runs its compiled shapes.
        """
        self._bundle = bundle
        self._backend = backend
        self._tokenizer = Tokenizer.from_file(str(folder / TOKENIZER_FILE))
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()
        if bundle.truncate:
            self._tokenizer.enable_truncation(bundle.max_length)

    def scores(self, texts: Sequence[str]) -> list[float]:
        """Returns each text's probability of the positive label, in the order given.

        Rows are scored in the order of their lengths, so that most need little padding.

        Raises:
            BadRequestError: if a text has more than `MAX_LETTERS`, or more tokens than the longest
                bucket, and texts are not to be cut.
        """
        rows = list(self._tokenised(texts))
        results = [0.0] * len(rows)
        for bucket, positions in plan([len(row) for row in rows], self._bundle.buckets):
            found = self.run(bucket, [rows[position] for position in positions])
            for position, score in zip(positions, found, strict=True):
                results[position] = float(score)
        return results

    def _tokenised(self, texts: Sequence[str]) -> Iterator[Tokens]:
        """Yields each text's tokens; the first text that is too long ends it."""
        position = 0
        for several in slices(texts):
            # A text over the limit stands alone in its slice.
            if len(several[0]) > MAX_LETTERS and not self._bundle.truncate:
                raise _too_long(f"{len(several[0]):,} letters", f"{MAX_LETTERS:,}", position)
            cut = [text[:MAX_LETTERS] for text in several]
            for encoding in self._tokenizer.encode_batch(cut):
                tokens: Tokens = encoding.ids
                if len(tokens) > self._bundle.max_length:
                    most = str(self._bundle.max_length)
                    raise _too_long(f"{len(tokens)} tokens", most, position)
                yield tokens
                position += 1

    def run(self, bucket: Bucket, rows: Sequence[Tokens]) -> NDArray[np.float32]:
        """Runs one bucket.

        Args:
            bucket: which one.
            rows: at most `bucket.batch` rows of at most `bucket.length` token ids.

        Returns:
            A score for each row, float32.
        """
        ids = np.full((bucket.batch, bucket.length), self._bundle.pad_id, dtype=np.int64)
        mask = np.zeros_like(ids)
        for index, row in enumerate(rows):
            ids[index, : len(row)] = row
            mask[index, : len(row)] = 1
        return self._backend.run(bucket, ids, mask)[: len(rows)]


def slices(texts: Sequence[str]) -> Iterator[Sequence[str]]:
    """Yields texts one after the other, so many at a time as have `MAX_LETTERS` or are one."""
    start = letters = 0
    for end, text in enumerate(texts):
        if end > start and letters + len(text) > MAX_LETTERS:
            yield texts[start:end]
            start, letters = end, 0
        letters += len(text)
    if texts:
        yield texts[start:]


def _too_long(found: str, most: str, position: int) -> BadRequestError:
    reason = f"the text has {found}, at most {most} are allowed: shorten it"
    return BadRequestError(reason, position)


def plan(
    lengths: Sequence[int], buckets: Sequence[Bucket]
) -> Iterator[tuple[Bucket, tuple[int, ...]]]:
    """Says which rows go through which graph, with little padding and every row once.

    Args:
        lengths: tokens of each row, none longer than the longest bucket.
        buckets: the compiled shapes: every batch size at every length.

    Yields:
        A bucket, and the positions of the rows for it.
    """
    order = sorted(range(len(lengths)), key=lambda position: (lengths[position], position))
    start = 0
    for length in sorted({bucket.length for bucket in buckets}):
        sizes = {bucket.batch: bucket for bucket in buckets if bucket.length == length}
        end = start
        while end < len(order) and lengths[order[end]] <= length:
            end += 1
        while start < end:
            # The largest batch that is full; a rest below the smallest batch is padded.
            size = max((size for size in sizes if size <= end - start), default=min(sizes))
            yield sizes[size], tuple(order[start : min(start + size, end)])
            start = min(start + size, end)
