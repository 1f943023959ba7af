"""Rows that may be alike within clusters: how many there are in each cell, and what they tell.

Sources: J. N. K. Rao and A. J. Scott, On chi-squared tests for multiway contingency tables with
cell proportions estimated from survey data, Annals of Statistics 12 (1984), 46-60. The totals of
groups of clusters have the variance of the clusters' own: K. M. Wolter, Introduction to variance
estimation (2007), chapter 2.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np

from sashiko.evaluation.metrics.arrays import Bools, Floats, Ints

GROUPS: Final = 1024  # of clusters; the number of a cluster modulo this is its group
FEWEST_CLUSTERS: Final = 5  # effective ones; fewer cannot tell how much clusters differ
TOO_FEW_CLUSTERS: Final = (
    f"nearly all rows are of fewer than {FEWEST_CLUSTERS} clients or requests, which cannot tell "
    "how much those differ"
)
_FEWEST_ROWS: Final = 100  # that are left without the clusters that dominate


@dataclass(frozen=True)
class ClusteredCounts:
    """Rows by cell, and how much they tell."""

    counts: Ints  # rows by cell, shape (cells,)
    design_effect: float = 1.0  # by how many times they tell less than independent rows, at least 1
    # Degrees of freedom of the variance between clusters: effective clusters less one; infinite
    # where each row is a cluster of its own.
    freedom: float = math.inf
    set_aside: int = 0  # rows of clusters that dominate, which are not counted

    @property
    def effective_rows(self) -> float:
        """The number of independent rows that would tell as much."""
        return float(self.counts.sum()) / self.design_effect

    @property
    def has_enough_clusters(self) -> bool:
        """Whether the design effect can be told."""
        return self.freedom >= FEWEST_CLUSTERS - 1

    @property
    def note(self) -> str:
        """Says what is not counted; empty if all rows are."""
        return (
            f"without {self.set_aside:,} rows of clusters that dominate" if self.set_aside else ""
        )


class Clusters:
    """Counts rows by cell and group of clusters, piece by piece; memory grows with cells alone."""

    def __init__(self, cells: int, *, effect: "Callable[[Ints], float] | None" = None) -> None:
        """Starts without rows.

        `effect` computes the design effect of totals by group of clusters and cell, shape (groups,
        cells); None for that of the cells' shares.
        """
        self._effect = effect or effect_of_shares
        self._others: Ints = np.zeros((GROUPS, cells), dtype=np.int64)
        self._dominant: Ints = np.zeros((GROUPS, cells), dtype=np.int64)
        self._last = -1
        self._is_single = True

    def add(self, cells: Ints, clusters: Ints, dominates: Bools) -> None:
        """Adds rows, in the order of a file of `read_captures`.

        All have the shape (rows,): the cell from 0, the number of the cluster, and whether that has
        too many of the window's rows.
        """
        if not len(cells):
            return
        # Numbers rise from row to row where no two rows share a cluster.
        self._is_single &= bool((np.diff(clusters, prepend=self._last) > 0).all())
        self._last = int(clusters[-1])
        places = clusters % GROUPS * self._others.shape[1] + cells
        self._others += self._totals(places[~dominates])
        self._dominant += self._totals(places[dominates])

    def _totals(self, places: Ints) -> Ints:
        totals: Ints = np.bincount(places, minlength=self._others.size)
        return totals.reshape(self._others.shape)

    @property
    def counts(self) -> Ints:
        """All rows by cell, shape (cells,)."""
        counts: Ints = (self._others + self._dominant).sum(axis=0)
        return counts

    def summarise(self) -> ClusteredCounts:
        """Returns the counts, without clusters that dominate if the others tell more alone."""
        if self._is_single:
            return ClusteredCounts(self.counts)
        return summarise_totals(self._others, self._dominant, self._effect)


def summarise_totals(
    others: Ints, dominant: Ints, effect: Callable[[Ints], float]
) -> ClusteredCounts:
    """Returns the counts of totals by group of clusters, without those that tell less.

    Rows of clusters that dominate are apart; both have the shape (groups, cells).
    """
    summaries = [
        ClusteredCounts(
            totals.sum(axis=0), max(effect(totals), 1.0), effective_clusters(totals) - 1, set_aside
        )
        for totals, set_aside in ((others + dominant, 0), (others, int(dominant.sum())))
    ]
    return max(summaries, key=lambda one: (one.has_enough_clusters, one.effective_rows))


def effective_clusters(totals: Ints) -> float:
    """Returns as many equal groups of clusters as the totals count for, by Kish's formula."""
    sizes = totals.sum(axis=1).astype(np.float64)
    return float(sizes.sum() ** 2 / (sizes**2).sum()) if sizes.any() else 0.0


def effect_of_shares(totals: Ints) -> float:
    """Computes the mean design effect of the cells' shares (Rao and Scott).

    Totals are rows by group of clusters and cell, shape (groups, cells).
    """
    used: Floats = totals[:, totals.any(axis=0)].astype(np.float64)
    if used.shape[1] < 2:
        return 1.0
    shares = used.sum(axis=0) / used.sum()
    deviations = ((used - shares * used.sum(axis=1, keepdims=True)) ** 2).sum(axis=0)
    return float((deviations / shares).sum() / used.sum() / (len(shares) - 1))


def least_dominant(sizes: Ints, clusters: Ints) -> int | None:
    """Returns the size from which on clusters dominate; None if none does.

    Of rows that are alike within clusters, as many count as Kish's effective sample size says (L.
    Kish, Survey sampling, 1965): the squared sum of the sizes over the sum of their squares.
    Clusters dominate if at least twice as many rows count without them. Sizes are those that occur,
    ascending, with the clusters that have each, both of shape (sizes,).
    """
    rows = np.cumsum(sizes * clusters)
    effective = rows.astype(np.float64) ** 2 / np.cumsum(sizes.astype(np.float64) ** 2 * clusters)
    enough = np.flatnonzero(rows >= _FEWEST_ROWS)
    if not len(enough):
        return None
    best = enough[np.argmax(effective[enough])]
    return int(sizes[best + 1]) if effective[best] >= 2 * effective[-1] else None
