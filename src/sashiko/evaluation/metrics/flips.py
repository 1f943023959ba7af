"""How often decisions turn: the share of rows whose decision is another one than before."""

import numpy as np
from numpy.typing import NDArray

from sashiko.evaluation.metrics.calibration import wilson_interval
from sashiko.evaluation.metrics.uncertainty import Estimate

Decisions = NDArray[np.bool_]  # True for positive, shape (rows,)


def flip_rate(before: Decisions, after: Decisions) -> Estimate:
    """Returns the share of rows whose decision changed, with Wilson's 95 % interval.

    Args:
        before: the decisions, shape (rows,).
        after: those of the same rows that are compared with them.

    Returns:
        The estimate; undefined without rows.
    """
    if not len(before):
        return Estimate(value=None, low=None, high=None)
    share = float(np.mean(before != after))
    low, high = wilson_interval(share, len(before))
    return Estimate(value=share, low=low, high=high)
