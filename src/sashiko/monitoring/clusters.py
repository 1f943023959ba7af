"""Rows that arrive in requests: how many there are in each cell, and how alike a request's are.

Source: J. N. K. Rao and A. J. Scott, On chi-squared tests for multiway contingency tables with cell
proportions estimated from survey data, Annals of Statistics 12 (1984), 46-60.
"""

from typing import Final

import numpy as np

from sashiko.evaluation.metrics.arrays import Floats, Ints

FEWEST_REQUESTS: Final = 30


class Clusters:
    """Counts the rows of requests by cell, piece by piece.

    It keeps sums over requests, so memory grows with the cells alone.

    Attributes:
        counts: rows by cell, shape (cells,).
        requests: that have a row.
    """

    def __init__(self, cells: int) -> None:
        """Starts without rows.

        Args:
            cells: how many there are.
        """
        self.counts: Ints = np.zeros(cells, dtype=np.int64)
        self.requests = 0
        self._squares: Floats = np.zeros(cells)  # of a request's rows in the cell
        self._products: Floats = np.zeros(cells)  # of those with all of the request's rows
        self._size_squares = 0.0  # of a request's rows

    def add(self, cells: Ints, requests: Ints) -> None:
        """Adds all rows of some requests.

        Args:
            cells: of each row, from 0, shape (rows,).
            requests: the number of each row's request in this piece, from 0, shape (rows,).
        """
        most = len(self.counts)
        sizes = np.bincount(requests)
        # By pairs that occur, since most requests have few of the cells.
        pairs, totals = np.unique(requests * most + cells, return_counts=True)
        request, cell = np.divmod(pairs, most)
        self.counts += np.bincount(cells, minlength=most)
        self.requests += int(np.count_nonzero(sizes))
        self._squares += np.bincount(cell, weights=totals**2, minlength=most)
        self._products += np.bincount(cell, weights=totals * sizes[request], minlength=most)
        self._size_squares += float((sizes**2).sum())

    def design_effect(self) -> float | None:
        """Measures how much less the rows of requests tell than as many independent rows.

        Returns:
            The mean design effect of the cells' shares, at least 1; None of fewer than 30 requests
            of several rows each, which cannot tell it.
        """
        rows = int(self.counts.sum())
        if self.requests == rows:
            return 1.0
        if self.requests < FEWEST_REQUESTS:
            return None
        used = self.counts > 0
        if used.sum() < 2:
            return 1.0
        shares: Floats = self.counts[used] / rows
        deviations = (
            self._squares[used] - 2 * shares * self._products[used] + shares**2 * self._size_squares
        )
        variances = self.requests / (self.requests - 1) * deviations / rows**2
        mean = float(rows * (variances / shares).sum() / (len(shares) - 1))
        return max(mean, 1.0)
