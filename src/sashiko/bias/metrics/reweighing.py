"""Weights under which a facet and the label are independent."""

import numpy as np

from sashiko.evaluation.metrics.arrays import Floats, Ints


def reweighing_weights(groups: Ints, labels: Ints, *, strength: float) -> Floats:
    """Computes w = (P(g) P(y) / P(g, y))^strength for each row of group g with label y.

    Source: F. Kamiran and T. Calders, "Data preprocessing techniques for classification without
    discrimination", Knowledge and Information Systems 33 (2012), section 5.3. The exponent is an
    extension: 0 gives equal weights, 1 the original ones, more than 1 overcorrects.

    Args:
        groups: code of the row's group, from 0, shape (rows,), at least one row.
        labels: 0 or 1, shape (rows,).
        strength: the exponent, at least 0.

    Returns:
        Weights with mean 1, shape (rows,).
    """
    counts = np.zeros((groups.max() + 1, 2))
    np.add.at(counts, (groups, labels), 1)
    expected = counts.sum(axis=1, keepdims=True) * counts.sum(axis=0) / len(labels)
    present = counts > 0
    ratio = np.divide(expected, counts, out=np.ones_like(counts), where=present)
    weights: Floats = (ratio**strength)[groups, labels]
    normalised: Floats = weights / weights.mean()
    return normalised
