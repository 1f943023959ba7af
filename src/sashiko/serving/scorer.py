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
            BadRequestError: if a text has more tokens than the longest bucket.
        """
        rows = [encoding.ids for encoding in self._tokenizer.encode_batch(list(texts))]
        for position, row in enumerate(rows):
            if len(row) > self._bundle.max_length:
                raise BadRequestError(
                    f"the text has {len(row)} tokens, at most {self._bundle.max_length} are "
                    "allowed: shorten it",
                    position,
                )
        results = [0.0] * len(rows)
        for bucket, positions in plan([len(row) for row in rows], self._bundle.buckets):
            found = self.run(bucket, [rows[position] for position in positions])
            for position, score in zip(positions, found, strict=True):
                results[position] = float(score)
        return results

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
