"""Reads splits and scores them with an artifact."""

import datetime as dt
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.compute as pc

from sashiko.core.parquet import read_columns
from sashiko.errors import InputError
from sashiko.evaluation.metrics.arrays import Floats, Ints
from sashiko.evaluation.record import SplitCount
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


def read_scores(path: Path, splits: Mapping[str, Split]) -> list[Floats]:
    """Reads the scores that an earlier evaluation wrote.

    Returns:
        P(positive) of each row, float64, one array per split.

    Raises:
        InputError: if the file is damaged, or has other rows.
    """
    table = read_columns(path, ["key", "split", "score"])
    scores = []
    for name, split in splits.items():
        rows = table.filter(pc.equal(table["split"], name))
        if tuple(rows["key"].to_pylist()) != split.keys:
            raise InputError(f"{path} does not hold the rows of the {name} split, in their order")
        scores.append(rows["score"].to_numpy().astype(np.float64))
    return scores


def score_splits(artifact: Artifact, splits: Sequence[Split], *, name: str) -> list[Floats]:
    """Scores splits with an artifact's own handler; each distinct text is scored once.

    Returns:
        P(positive) of each row, float64, one array per split.

    Raises:
        InputError: if the handler rejects a text; names the row's key.
    """
    unique = list(dict.fromkeys(text for split in splits for text in split.texts))
    start = time.monotonic()

    def report(done: int) -> None:
        speed = done / max(time.monotonic() - start, 1e-9)
        print(f"{name}: scored {done:,} of {len(unique):,} texts, {speed:,.0f}/s", file=sys.stderr)

    try:
        predictions = artifact.predict(unique, on_progress=report)
    except RequestRefusedError as error:
        text = unique[error.position or 0]
        key = next(
            key
            for split in splits
            for key, other in zip(split.keys, split.texts, strict=True)
            if other == text
        )
        raise InputError(
            f"the {name} refuses the row with key {key}: {error.reason}; or compile for longer "
            "texts (`compile.sequence_lengths`), or set `text.truncate: true`"
        ) from error
    score_of = {
        text: prediction.score for text, prediction in zip(unique, predictions, strict=True)
    }
    return [np.array([score_of[text] for text in split.texts]) for split in splits]
