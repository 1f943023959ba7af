"""How well one column alone tells the two labels apart: an AUC near 1 suggests a leak."""

import numpy as np

from sashiko.evaluation.metrics.arrays import Bools, Floats, Ints

_FOLDS = 5
_ROWS_A_VALUE = 10  # rarer values count as one, so that a key or a free text has no values


def order_auc(values: Floats, positive: Bools) -> float:
    """Returns the AUC of a column of numbers or times, in the direction that is better.

    Missing values count as the lowest or as the highest, whichever is better.

    Args:
        values: shape (rows,), NaN where missing.
        positive: whether each row has the positive label, shape (rows,); both labels occur.
    """
    missing = np.isnan(values)
    ends = (-np.inf, np.inf) if missing.any() else (np.inf,)
    aucs = [_auc(np.where(missing, end, values), positive) for end in ends]
    return max(max(auc, 1 - auc) for auc in aucs)


def category_auc(codes: Ints, positive: Bools) -> float:
    """Returns the AUC of a column of categories, where a row's score is its value's positive rate.

    The rate is that of the rows in the other four of five folds, so that a value does not predict
    the rows from which its rate was taken. Values of fewer than ten rows count as one value.

    Args:
        codes: the number of each row's value from 0, shape (rows,); a missing value is a value.
        positive: whether each row has the positive label, shape (rows,); both labels occur.
    """
    counts = np.bincount(codes)
    rare = len(counts)
    codes = np.where(counts[codes] < _ROWS_A_VALUE, rare, codes)
    generator = np.random.default_rng(0)
    folds = np.empty(len(positive), dtype=np.int64)
    for label in (False, True):  # which have equal shares in the folds
        members = generator.permutation(np.flatnonzero(positive == label))
        folds[members] = np.arange(len(members)) % _FOLDS
    cells, shape = folds * (rare + 1) + codes, (_FOLDS, rare + 1)
    rows, positives = (
        np.bincount(part, minlength=_FOLDS * (rare + 1)).reshape(shape)
        for part in (cells, cells[positive])
    )
    other_rows = rows.sum(axis=0) - rows
    rates = np.full(shape, positive.mean())
    np.divide(positives.sum(axis=0) - positives, other_rows, out=rates, where=other_rows > 0)
    return max(_auc(rates[folds, codes], positive), 0.5)


def _auc(scores: Floats, positive: Bools) -> float:
    """Returns the AUC from the mean ranks of the positive rows (Mann and Whitney's U)."""
    _, codes, counts = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = np.cumsum(counts) - (counts - 1) / 2
    positives = int(positive.sum())
    wins = ranks[codes][positive].sum() - positives * (positives + 1) / 2
    return float(wins / (positives * (len(positive) - positives)))
