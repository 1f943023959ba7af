"""Samples of texts for the test of their drift: of the window's rows, and of the test split's."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from sashiko.core.parquet import open_parquet, stream_columns
from sashiko.evaluation.metrics.arrays import Ints
from sashiko.monitoring.capture.rows import stream_requests
from sashiko.monitoring.clusters import Clusters
from sashiko.monitoring.reference import Reference
from sashiko.monitoring.text_drift import MOST_TEXTS
from sashiko.serving.container import text as texts_of

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


def sample_window(path: Path, reference: Reference, scores: Clusters) -> list[str]:
    """Takes at most 1,500 texts of a window, at random with a fixed seed.

    They are what the model read: a captured text, or a row in the reference's template. Where the
    scores of a request's rows are alike, or too few requests came to tell, one text of a request is
    taken.

    Args:
        path: a file of `read_captures`.
        reference: of the version that answered.
        scores: the window's.

    Raises:
        InputError: if the file is damaged.
    """
    generator = np.random.default_rng(_SEED)
    one_of_each = scores.design_effect() != 1.0
    units = scores.requests if one_of_each else int(scores.counts.sum())
    chosen = _chosen(units, generator)
    texts: list[str] = []
    start = 0
    for table, requests in stream_requests(path, ["text", "input"]):
        firsts = np.flatnonzero(np.diff(requests, prepend=-1))
        numbers = _within(chosen, start, len(firsts) if one_of_each else len(requests))
        start += len(firsts) if one_of_each else len(requests)
        if one_of_each:
            sizes = np.diff(firsts, append=len(requests))
            numbers = firsts[numbers] + generator.integers(sizes[numbers])
        texts += captured_texts(table.take(pa.array(numbers)), reference)
    return texts


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
