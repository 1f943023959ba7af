"""Reads splits and scores their texts with an artifact."""

import datetime as dt
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from sashiko.errors import InputError
from sashiko.evaluation.evaluation_record import SplitCount
from sashiko.evaluation.metrics.arrays import Floats, Ints
from sashiko.serving.artifact import Artifact, RequestRefusedError
from sashiko.training.examples import read_split


@dataclass(frozen=True)
class Split:
    """A split's rows, in the order of their keys."""

    keys: tuple[str, ...]
    texts: tuple[str, ...]
    labels: Ints  # int64, 1 for positive

    def count(self, *, since: dt.date | None) -> SplitCount:
        """Returns its size, with the first day of a split by time."""
        return SplitCount(rows=len(self.keys), positives=int(self.labels.sum()), since=since)


class Row(NamedTuple):
    """Which row of which split."""

    split: str
    key: str


def load_split(folder: Path) -> Split:
    """Reads a split that Prepare wrote.

    Raises:
        InputError: if the file is missing, damaged, empty, or lacks a column.
    """
    table = read_split(folder)
    return Split(
        keys=tuple(table["key"].to_pylist()),
        texts=tuple(table["text"].to_pylist()),
        labels=table["label"].to_numpy().astype(np.int64),
    )


def first_rows(splits: Mapping[str, Split]) -> dict[str, Row]:
    """Returns the first row of each distinct text, in the order of the rows."""
    rows: dict[str, Row] = {}
    for name, split in splits.items():
        for key, text in zip(split.keys, split.texts, strict=True):
            if text not in rows:
                rows[text] = Row(name, key)
    return rows


def score_texts(artifact: Artifact, rows: Mapping[str, Row], *, name: str) -> Floats:
    """Scores texts with an artifact's own handler.

    Args:
        artifact: the model.
        rows: each text, and the row that has it.
        name: of the model, in messages.

    Returns:
        P(positive) of each text, float64, shape (texts,).

    Raises:
        InputError: if the handler rejects a text; names the row's key.
    """
    texts = list(rows)
    start = time.monotonic()

    def report(done: int) -> None:
        speed = done / max(time.monotonic() - start, 1e-9)
        print(f"{name}: scored {done:,} of {len(texts):,} texts, {speed:,.0f}/s", file=sys.stderr)

    try:
        answers = artifact.predict(texts, on_progress=report)
    except RequestRefusedError as error:
        key = rows[texts[error.position or 0]].key
        raise InputError(
            f"the {name} refuses the row with key {key}: {error.reason}; or compile for longer "
            "texts (`compile.sequence_lengths`), or set `text.truncate: true`"
        ) from error
    return np.array([answer.score for answer in answers], dtype=np.float64)


def score_split(artifact: Artifact, split: Split, *, name: str) -> Floats:
    """Scores a split; each distinct text is scored once.

    Returns:
        P(positive) of each row, float64, shape (rows,).

    Raises:
        InputError: if the handler rejects a text; names the row's key.
    """
    rows = first_rows({name: split})
    score_of = dict(zip(rows, score_texts(artifact, rows, name=name), strict=True))
    return np.array([score_of[text] for text in split.texts])
