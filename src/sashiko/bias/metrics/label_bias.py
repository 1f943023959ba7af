"""Clarify's pre-training metrics: bias of the labels.

Source: "Pre-training Bias Metrics" in the Amazon SageMaker AI Developer Guide. The advantaged group
is a, the disadvantaged one d; n_a counts rows, n_a(1) those with a positive label, n_a(0) the
others, and P_a(y) is the share of label y. KL, JS, LP, TVD and KS compare the whole distribution
of any number of labels; they are distances without a direction.
"""

import numpy as np

from sashiko.bias.metrics.groups import Comparison
from sashiko.evaluation.metrics.arrays import Floats, ratio


def class_imbalance(groups: Comparison) -> Floats:
    """CI = (n_a - n_d) / (n_a + n_d), from -1 to 1; more than 0: d has fewer rows."""
    return ratio(groups.a.rows - groups.d.rows, groups.a.rows + groups.d.rows)


def label_difference(groups: Comparison) -> Floats:
    """DPL = n_a(1) / n_a - n_d(1) / n_d, from -1 to 1; more than 0: d has the label less often."""
    return ratio(groups.a.positives, groups.a.rows) - ratio(groups.d.positives, groups.d.rows)


def kullback_leibler(groups: Comparison) -> Floats:
    """KL = sum over y of P_a(y) ln(P_a(y) / P_d(y)), from 0 up, in nats; 0: equal distributions.

    NaN if d lacks a label that a has, since the divergence is infinite.
    """
    return _divergence(groups.a.shares, groups.d.shares)


def jensen_shannon(groups: Comparison) -> Floats:
    """JS = (KL(P_a, P) + KL(P_d, P)) / 2, P = (P_a + P_d) / 2; from 0 to ln 2; 0: equal."""
    a, d = groups.a.shares, groups.d.shares
    middle = (a + d) / 2
    return (_divergence(a, middle) + _divergence(d, middle)) / 2


def lp_norm(groups: Comparison) -> Floats:
    """LP = (sum over y of (P_a(y) - P_d(y))^2)^(1/2), from 0 to the root of 2; 0: equal."""
    norm: Floats = np.sqrt(np.square(groups.a.shares - groups.d.shares).sum(axis=-1))
    return norm


def total_variation(groups: Comparison) -> Floats:
    """TVD = sum over y of |P_a(y) - P_d(y)| / 2, from 0 to 1; 0: equal distributions."""
    distance: Floats = np.abs(groups.a.shares - groups.d.shares).sum(axis=-1) / 2
    return distance


def kolmogorov_smirnov(groups: Comparison) -> Floats:
    """KS = largest |P_a(y) - P_d(y)| over y, from 0 to 1; 0: equal distributions."""
    largest: Floats = np.abs(groups.a.shares - groups.d.shares).max(axis=-1)
    return largest


def conditional_label_disparity(groups: Comparison) -> Floats:
    """CDDL = sum over strata i of n_i / n (n_di(0) / n_i(0) - n_di(1) / n_i(1)), from -1 to 1.

    More than 0: within the strata d makes up more of the rejected rows than of the accepted ones.
    NaN if a stratum has no rejected or no accepted row.
    """
    a, d = groups.a_strata, groups.d_strata
    return weighted_disparity(
        rows=a.rows + d.rows,
        rejected=(d.negatives, a.negatives + d.negatives),
        accepted=(d.positives, a.positives + d.positives),
    )


def weighted_disparity(
    *, rows: Floats, rejected: tuple[Floats, Floats], accepted: tuple[Floats, Floats]
) -> Floats:
    """Averages the demographic disparity of strata, each weighted by its rows.

    Args:
        rows: n_i, shape (..., strata); a stratum without rows has no weight.
        rejected: of d and of both groups, shapes (..., strata).
        accepted: of d and of both groups, shapes (..., strata).

    Returns:
        Shape (...,); NaN if a stratum with rows has none rejected or none accepted.
    """
    disparity = ratio(*rejected) - ratio(*accepted)
    weighted = np.where(rows > 0, rows * disparity, 0.0)
    return ratio(weighted.sum(axis=-1), rows.sum(axis=-1))


def _divergence(p: Floats, q: Floats) -> Floats:
    """KL(p, q) over the last axis, with 0 ln 0 = 0; NaN if q is 0 where p is not."""
    terms = np.where(p == 0, 0.0, p * np.log(ratio(np.where(p == 0, 1.0, p), q)))
    total: Floats = terms.sum(axis=-1)
    return total
