"""The two groups of a comparison, with the counts of the formulas."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from sashiko.evaluation.metrics.arrays import Bools, Floats, Ints, ratio


@dataclass(frozen=True)
class Group:
    """Counts of a group; whole numbers as float64."""

    labels: Floats  # rows per label, shape (..., labels)
    positives: Floats  # rows with a positive label, n(1), shape (...,)
    predicted_positives: Floats  # rows predicted positive, n'(1), shape (...,)
    true_positives: Floats  # rows with a positive label and prediction, TP, shape (...,)

    @cached_property
    def rows(self) -> Floats:
        """All rows, n; cached, since nearly every metric uses it."""
        total: Floats = self.labels.sum(axis=-1)
        return total

    @property
    def negatives(self) -> Floats:
        """Rows with another label, n(0)."""
        return self.rows - self.positives

    @property
    def predicted_negatives(self) -> Floats:
        """Rows predicted another label, n'(0)."""
        return self.rows - self.predicted_positives

    @property
    def false_positives(self) -> Floats:
        """Rows incorrectly predicted positive, FP."""
        return self.predicted_positives - self.true_positives

    @property
    def false_negatives(self) -> Floats:
        """Rows incorrectly predicted negative, FN."""
        return self.positives - self.true_positives

    @property
    def true_negatives(self) -> Floats:
        """Rows correctly predicted negative, TN."""
        return self.negatives - self.false_positives

    @property
    def right(self) -> Floats:
        """Rows predicted correctly, TP + TN."""
        return self.true_positives + self.true_negatives

    @property
    def wrong(self) -> Floats:
        """Rows predicted incorrectly, FP + FN."""
        return self.false_positives + self.false_negatives

    @property
    def shares(self) -> Floats:
        """The distribution of the labels, P(y), shape (..., labels)."""
        return ratio(self.labels, np.broadcast_to(self.rows[..., None], self.labels.shape))


@dataclass(frozen=True)
class Comparison:
    """An advantaged group a and a disadvantaged one d, as a whole and by stratum."""

    a: Group  # the advantaged group, shapes (...,)
    d: Group  # the disadvantaged group
    a_strata: Group  # the advantaged group by stratum, shapes (..., strata)
    d_strata: Group  # the disadvantaged group by stratum


def compare(cells: Ints, positive: Bools) -> Comparison:
    """Reads counts of shape (..., strata, 2, labels, 2), as in `counts.Counts`."""
    whole = cells.sum(axis=-4)
    return Comparison(
        a=_group(whole[..., 0, :, :], positive),
        d=_group(whole[..., 1, :, :], positive),
        a_strata=_group(cells[..., 0, :, :], positive),
        d_strata=_group(cells[..., 1, :, :], positive),
    )


def _group(cells: Ints, positive: Bools) -> Group:
    counts = cells.astype(np.float64)
    return Group(
        labels=counts.sum(axis=-1),
        positives=counts[..., positive, :].sum(axis=(-2, -1)),
        predicted_positives=counts[..., 1].sum(axis=-1),
        true_positives=counts[..., positive, 1].sum(axis=-1),
    )
