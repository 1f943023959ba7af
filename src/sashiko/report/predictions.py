"""Evaluate's predictions on the test split, alone and joined with the facets."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sashiko.base.parquet import read_columns
from sashiko.errors import InputError
from sashiko.evaluation.metrics.arrays import Floats, Ints
from sashiko.report.plots import GroupScores

_COLUMNS = ["key", "split", "label", "score", "predicted"]


@dataclass(frozen=True)
class Predictions:
    """The test split."""

    keys: Sequence[str]
    labels: Ints  # 1 for positive, shape (rows,)
    scores: Floats  # probability of the positive label, shape (rows,)
    predicted: Ints  # 1 for positive, shape (rows,)


def read_predictions(path: Path) -> Predictions:
    """Reads the test split's rows of `predictions.parquet`.

    Raises:
        InputError: if the file is broken, lacks a column, or has no test row.
    """
    import pyarrow.compute as pc

    table = read_columns(path, _COLUMNS)
    table = table.filter(pc.equal(table["split"], "test"))
    if not table.num_rows:
        raise InputError(f"{path.name} has no row of the test split")
    return Predictions(
        keys=table["key"].to_pylist(),
        labels=table["label"].to_numpy().astype(np.int64),
        scores=table["score"].to_numpy().astype(np.float64),
        predicted=table["predicted"].to_numpy().astype(np.int64),
    )


def scores_by_group(
    predictions: Predictions, facets: Path, *, key: str, facet: str
) -> tuple[GroupScores, ...]:
    """Groups the scores by a facet's values, in the order of the values.

    Raises:
        InputError: if the snapshot is broken or lacks a column.
    """
    table = read_columns(facets, [key, facet])
    keys = [str(value) for value in table[key].to_pylist()]
    group_of = dict(zip(keys, table[facet].to_pylist(), strict=True))
    values = [group_of.get(key) for key in predictions.keys]
    groups = np.array(["missing" if value is None else str(value) for value in values])
    masks = {str(name): groups == name for name in np.unique(groups)}
    scores, labels = predictions.scores, predictions.labels
    return tuple(GroupScores(name, scores[mask], labels[mask]) for name, mask in masks.items())
