"""Samples of texts for the test of their drift: of the window's rows, and of the test split's."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sashiko.base.parquet import open_parquet, stream_columns
from sashiko.evaluation.metrics.arrays import Ints
from sashiko.evaluation.reference import Reference
from sashiko.serving.container import text as texts_of
from sashiko_packs.monitoring.capture.rows import stream_requests
from sashiko_packs.monitoring.clusters import ClusteredCounts
from sashiko_packs.monitoring.text_drift import MOST_TEXTS

_SEED = 0


def sample_test(path: Path) -> list[str]:
    """Takes at most 1,500 texts of a split of Prepare, at random with a fixed seed.

    Raises:
        InputError: if the file is missing, damaged, or lacks the column `text`.
    """
    with open_parquet(path) as file:
        rows = file.metadata.num_rows
    chosen = _chosen(rows, np.random.default_rng(_SEED))
    texts: list[str] = []
    start = 0
    for table in stream_columns(path, ["text"]):
        numbers = _within(chosen, start, table.num_rows)
        texts += table["text"].take(pa.array(numbers)).to_pylist()
        start += table.num_rows
    return texts


@dataclass(frozen=True)
class TextSample:
    """Texts of a window."""

    texts: Sequence[str]
    clusters: Ints  # the number of each text's cluster, shape (texts,)


def sample_window(path: Path, reference: Reference, scores: ClusteredCounts) -> TextSample:
    """Takes at most 1,500 texts of a window, at random with a fixed seed.

    They are what the model read: a captured text, or a row in the reference's template. Where the
    scores of a cluster's rows are alike, one text of a request is taken, since a classifier would
    know a text by the others of its request. Rows that the scores leave out are left out here.

    Args:
        path: a file of `read_captures`.
        reference: of the version that answered.
        scores: the window's.

    Raises:
        InputError: if the file is damaged.
    """
    generator = np.random.default_rng(_SEED)
    units = sum(len(places) for _, places in _units(path, (), scores))
    chosen = _chosen(units, generator)
    texts: list[str] = []
    clusters: list[Ints] = []
    start = 0
    for table, places in _units(path, ("text", "input", "cluster"), scores):
        numbers = _within(chosen, start, len(places))
        start += len(places)
        sizes = np.diff(places, append=table.num_rows)
        rows = table.take(pa.array(places[numbers] + generator.integers(sizes[numbers])))
        texts += captured_texts(rows, reference)
        clusters.append(rows["cluster"].to_numpy())
    return TextSample(texts, np.concatenate([np.zeros(0, dtype=np.int64), *clusters]))


def _units(
    path: Path, columns: Sequence[str], scores: ClusteredCounts
) -> Iterator[tuple[pa.Table, Ints]]:
    """Yields rows that count, and where each unit of them begins: each row, or each request."""
    for piece, of_piece in stream_requests(path, [*columns, "dominates"]):
        table, requests = piece, of_piece
        if scores.set_aside:
            counted = pc.invert(piece["dominates"])
            table, requests = piece.filter(counted), of_piece[counted.to_numpy()]
        if scores.design_effect == 1.0 and scores.has_enough_clusters:
            yield table, np.arange(len(requests))
        else:
            yield table, np.flatnonzero(np.diff(requests, prepend=-1))


def captured_texts(rows: pa.Table, reference: Reference) -> Iterator[str]:
    """Yields what a version reads of captured rows: their text, or their columns in its template.

    Args:
        rows: with the columns `text` and `input` of a file of `read_captures`.
        reference: of the version.
    """
    numbers = [counts.column for counts in reference.columns if counts.kind == "number"]
    for row in rows.to_pylist():
        if row["text"] is not None:
            yield row["text"]
        else:
            values = row["input"] | {name: _number(row["input"][name]) for name in numbers}
            yield texts_of.assemble(reference.template, values, reference.missing)


def _chosen(units: int, generator: np.random.Generator) -> Ints:
    """Returns the numbers of at most 1,500 units, ascending."""
    if units <= MOST_TEXTS:
        return np.arange(units)
    return np.sort(generator.choice(units, MOST_TEXTS, replace=False))


def _within(chosen: Ints, start: int, length: int) -> Ints:
    """Returns the chosen numbers of a piece, from its start."""
    low, high = np.searchsorted(chosen, [start, start + length])
    return chosen[low:high] - start


def _number(text: str | None) -> Any:
    """Reads a number as the handler does, which writes 40.0 as 40; any other text stays."""
    if not text or text[0] not in "-0123456789":
        return text
    try:
        return json.loads(text)
    except ValueError:
        return text
