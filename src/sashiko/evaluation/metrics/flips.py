"""How often decisions turn: the share of rows whose decision is another one than before."""

import math
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from sashiko.evaluation.metrics.calibration import wilson_interval
from sashiko.evaluation.metrics.uncertainty import CONFIDENCE, Estimate

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


def excess_flip_rate(before: Decisions, after: Decisions, control: Decisions) -> Estimate:
    """Returns how many more rows turn under a change than under a control, as a share of the rows.

    The interval is the adjusted Wald interval of a difference of paired proportions: D. G. Bonett
    and R. M. Price, Adjusted Wald Confidence Interval for a Difference of Binomial Proportions
    Based on Paired Data, Journal of Educational and Behavioral Statistics 37 (2012), 479-488.

    Args:
        before: the decisions, shape (rows,).
        after: those of the same rows under the change.
        control: those of the same rows under the control.

    Returns:
        The estimate, between -1 and 1; undefined without rows.
    """
    rows = len(before)
    if not rows:
        return Estimate(value=None, low=None, high=None)
    turned, by_control = before != after, before != control
    more = int(np.sum(turned & ~by_control))
    fewer = int(np.sum(by_control & ~turned))
    gained, lost = (more + 1) / (rows + 2), (fewer + 1) / (rows + 2)
    error = math.sqrt((gained + lost - (gained - lost) ** 2) / (rows + 2))
    reach = NormalDist().inv_cdf((1 + CONFIDENCE) / 2) * error
    return Estimate(
        value=(more - fewer) / rows,
        low=max(-1.0, gained - lost - reach),
        high=min(1.0, gained - lost + reach),
    )
