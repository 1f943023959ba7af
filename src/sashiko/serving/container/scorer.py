"""Scores texts with the compiled shapes, each for one (batch, length), and rows by features."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from backend import Backend, Scores
from bundle import TOKENIZER_FILE, Bucket, Bundle
from linear import parse_row, read_features
from payload import BadRequestError
from prompt import RowTokenizer

Tokens = Sequence[int]
# The tokenizer needs 300 bytes per letter and over a second per million letters, even of those that
# it then truncates. So this is the limit of a text, and of the texts that are tokenized together.
MAX_LETTERS = 100_000


class Scorer:
    """Tokenizes texts, pads them to the nearest bucket and runs it."""

    def __init__(self, folder: Path, bundle: Bundle, backend: Backend) -> None:
        """Opens the tokenizer.

        Args:
            folder: the unpacked artifact.
            bundle: its `serving.json`.
            backend: runs its compiled shapes.
        """
        self._bundle = bundle
        self._backend = backend
        self._tokenizer = RowTokenizer(
            (folder / TOKENIZER_FILE).read_text(encoding="utf-8"),
            max_length=bundle.max_length,
            truncate=bundle.truncate,
            prompt=bundle.prompt,
        )

    def scores(self, texts: Sequence[str]) -> Scores:
        """Returns the model's outputs, (texts, outputs), in the order of the texts.

        They are the probabilities of the classes, or one number, standardised.

        Rows are scored in the order of their lengths, so that most need little padding.

        Raises:
            BadRequestError: if the artifact does not truncate, and a text has more than
                `MAX_LETTERS` letters or more tokens than the longest bucket.
        """
        rows = list(self._tokenize(texts))
        scores = np.zeros((len(rows), self._bundle.outputs), dtype=np.float32)
        for bucket, positions in plan([len(row) for row in rows], self._bundle.buckets):
            scores[[*positions]] = self.run(bucket, [rows[position] for position in positions])
        return scores

    def _tokenize(self, texts: Sequence[str]) -> Iterator[Tokens]:
        """Yields each text's tokens, up to the first text that is too long."""
        position = 0
        for batch in slices(texts):
            # A text over the limit is alone in its slice.
            if len(batch[0]) > MAX_LETTERS and not self._bundle.truncate:
                raise _too_long(f"{len(batch[0]):,} letters", f"{MAX_LETTERS:,}", position)
            for tokens in self._tokenizer.rows([text[:MAX_LETTERS] for text in batch]):
                if len(tokens) > self._bundle.max_length:
                    limit = str(self._bundle.max_length)
                    raise _too_long(f"{len(tokens)} tokens", limit, position)
                yield tokens
                position += 1

    def run(self, bucket: Bucket, rows: Sequence[Tokens]) -> Scores:
        """Runs one bucket.

        Args:
            bucket: the compiled shape.
            rows: at most `bucket.batch` rows of at most `bucket.length` token ids.

        Returns:
            Each row's outputs, float32, (rows, outputs).
        """
        length = bucket.length if self._bundle.fixed_lengths else max(map(len, rows))
        ids = np.full((bucket.batch, length), self._bundle.pad_id, dtype=np.int64)
        mask = np.zeros_like(ids)
        for index, row in enumerate(rows):
            ids[index, : len(row)] = row
            mask[index, : len(row)] = 1
        return self._backend.run(bucket, ids, mask)[: len(rows)]


class LinearScorer:
    """Reads rows, JSON objects, and runs a linear model on the features of each."""

    def __init__(self, folder: Path, bundle: Bundle, backend: Backend) -> None:
        """Reads the features: see `Scorer`."""
        self._features, _ = read_features(folder)
        (self._bucket,), self._outputs = bundle.buckets, bundle.outputs
        self._backend = backend

    def scores(self, texts: Sequence[str]) -> Scores:
        """Returns the model's outputs, (rows, outputs), in the order of the rows: see `Scorer`.

        Raises:
            BadRequestError: if a text is no row of the model's columns, or has more than
                `MAX_LETTERS` letters.
        """
        scores = np.zeros((len(texts), self._outputs), dtype=np.float32)
        for position, text in enumerate(texts):
            scores[position] = self._score(text, position)
        return scores

    def _score(self, text: str, position: int) -> Scores:
        if len(text) > MAX_LETTERS:
            raise _too_long(f"{len(text):,} letters", f"{MAX_LETTERS:,}", position)
        try:
            features = self._features.of_row(parse_row(text, self._features))
        except ValueError as error:
            raise BadRequestError(str(error), position) from error
        return self.run(features)

    def run(self, features: Mapping[int, float]) -> Scores:
        """Scores a row by the numbers of its features and their values, (outputs,)."""
        row = features or {0: 0.0}
        numbers = np.array([list(row)], dtype=np.int64)
        values = np.array([list(row.values())], dtype=np.float64)
        scores: Scores = self._backend.run(self._bucket, numbers, values)[0]
        return scores


def slices(texts: Sequence[str]) -> Iterator[Sequence[str]]:
    """Yields consecutive texts: each slice has at most `MAX_LETTERS` letters, or is one text."""
    start = letters = 0
    for end, text in enumerate(texts):
        if end > start and letters + len(text) > MAX_LETTERS:
            yield texts[start:end]
            start, letters = end, 0
        letters += len(text)
    if texts:
        yield texts[start:]


def _too_long(length: str, limit: str, position: int) -> BadRequestError:
    reason = f"the text has {length}, at most {limit} are allowed: shorten it"
    return BadRequestError(reason, position)


def plan(
    lengths: Sequence[int], buckets: Sequence[Bucket]
) -> Iterator[tuple[Bucket, tuple[int, ...]]]:
    """Assigns each row to a bucket, with little padding.

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
            # The largest batch that is full; a remainder below the smallest batch is padded.
            size = max((size for size in sizes if size <= end - start), default=min(sizes))
            yield sizes[size], tuple(order[start : min(start + size, end)])
            start = min(start + size, end)
