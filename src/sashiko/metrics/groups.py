"""Counts of an advantaged and a disadvantaged group: all that a bias metric needs of the rows."""

from dataclasses import dataclass

import numpy as np

from sashiko.metrics.arrays import Bools, Floats, Ints


@dataclass(frozen=True)
class Group:
    """What is counted of a group; whole numbers as float64, all of one shape.

    Attributes:
        rows: n.
        positives: rows with the positive label, n(1).
        predicted_positives: rows predicted positive, n'(1).
        true_positives: rows that are both.
    """

    rows: Floats
    positives: Floats
    predicted_positives: Floats
    true_positives: Floats


def count_cells(disadvantaged: Bools, labels: Bools, predicted: Bools | None) -> Ints:
    """Counts the rows of two groups by label and prediction.

    Args:
        disadvantaged: whether a row is of the disadvantaged group, shape (rows,).
        labels: whether its label is the positive one, shape (rows,).
        predicted: whether its prediction is, shape (rows,); None where nothing was predicted,
            which counts as not.

    Returns:
        Rows by [disadvantaged, label, predicted], shape (2, 2, 2), int64.
    """
    index = disadvantaged * 4 + labels * 2 + (0 if predicted is None else predicted * 1)
    return np.bincount(index, minlength=8).reshape(2, 2, 2).astype(np.int64)


def groups(cells: Ints) -> tuple[Group, Group]:
    """Returns the advantaged and the disadvantaged group of counts of shape (..., 2, 2, 2)."""
    return _group(cells[..., 0, :, :]), _group(cells[..., 1, :, :])


def _group(cells: Ints) -> Group:
    counts = cells.astype(np.float64)
    return Group(
        rows=counts.sum(axis=(-2, -1)),
        positives=counts[..., 1, :].sum(axis=-1),
        predicted_positives=counts[..., :, 1].sum(axis=-1),
        true_positives=counts[..., 1, 1],
    )
