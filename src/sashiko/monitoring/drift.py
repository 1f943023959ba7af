"""Drift of a column or of the scores: Pearson's chi-squared test, with Cohen's w as its size.

Sources: J. Cohen, Statistical power analysis for the behavioral sciences (1988), chapter 7, for w:
the root of the chi-squared statistic by row. The statistic's distribution at a given w is the
noncentral chi-squared one, with the noncentrality w^2 * rows. J. N. K. Rao and A. J. Scott, On
chi-squared tests for multiway contingency tables with cell proportions estimated from survey data,
Annals of Statistics 12 (1984), 46-60, for rows that arrive in clusters.
"""

import math

import numpy as np
from scipy import stats

from sashiko.evaluation.metrics.arrays import Floats, Ints
from sashiko.monitoring.checks import COHENS_W, Measurement

ROWS_NEEDED = 100
_ORDERED_CELLS = 5  # of scores and numbers; more cells cost power against a shift of the whole
_LEAST_EXPECTED = 5  # rows of the window in a cell (Cochran, Biometrics 10, 1954)
_FEWEST_CLUSTERS = 30


def measure_drift(
    name: str,
    reference: Ints,
    window: Ints,
    *,
    ordered: bool,
    tolerance: float,
    design_effect: float = 1.0,
) -> Measurement:
    """Measures how far a window's distribution is from the reference's.

    Cells with few rows are merged, by the rows of both together: neighbours where the cells are
    `ordered`, else all rare ones.

    Args:
        name: of the measurement.
        reference: rows by cell, shape (cells,).
        window: rows by the same cells.
        ordered: whether the cells are bins of a number or a score, ascending.
        tolerance: of Cohen's w.
        design_effect: by how many times the rows of the window, which arrive in requests, count
            for less than independent ones (`design_effect`).

    Returns:
        The measurement; its `value` is w without the part that chance alone would give, 0 or more.
    """
    rows = int(window.sum() / design_effect)
    measured = Measurement(
        name=name,
        effect=COHENS_W,
        rows=rows,
        rows_needed=ROWS_NEEDED,
        tolerance=tolerance,
    )
    if reference.sum() < ROWS_NEEDED:
        reason = f"the reference has {int(reference.sum()):,} rows, {ROWS_NEEDED} are needed"
        return measured.model_copy(update={"reason": reason})
    if rows < ROWS_NEEDED:
        return measured
    both = np.stack([reference.astype(np.float64), window / design_effect])
    merged = _merged_cells(both, ordered=ordered)
    if merged.max() == 0:
        return measured.model_copy(update={"reason": "nearly all rows have one value"})
    table: Floats = np.stack([np.bincount(merged, weights=counts) for counts in both])
    statistic = _chi_squared(table)
    freedom = table.shape[1] - 1
    before, now = table.sum(axis=1)
    effective = before * now / (before + now)
    return measured.model_copy(
        update={
            "value": math.sqrt(max(statistic - freedom, 0.0) / effective),
            "p_unchanged": float(stats.chi2.sf(statistic, freedom)),
            "p_tolerated": float(stats.ncx2.sf(statistic, freedom, effective * tolerance**2)),
        }
    )


def design_effect(cells: Ints, requests: Ints) -> float | None:
    """Measures how much less the rows of requests tell than as many independent rows.

    Args:
        cells: of each row, from 0, shape (rows,).
        requests: the number of each row's request, from 0, shape (rows,).

    Returns:
        The mean design effect of the cells' shares, at least 1; None of fewer than 30 requests of
        several rows each, which cannot tell it.
    """
    clusters = int(requests.max(initial=-1)) + 1
    if clusters == len(cells):
        return 1.0
    if clusters < _FEWEST_CLUSTERS:
        return None
    rows = len(cells)
    used, codes = np.unique(cells, return_inverse=True)
    if len(used) < 2:
        return 1.0
    shares: Floats = np.bincount(codes) / rows
    sizes = np.bincount(requests, minlength=clusters)
    # By pairs that occur, since requests times cells may not fit into memory.
    pairs, totals = np.unique(requests * len(used) + codes, return_counts=True)
    request, cell = np.divmod(pairs, len(used))
    deviations = (
        np.bincount(cell, weights=totals**2)
        - 2 * shares * np.bincount(cell, weights=totals * sizes[request])
        + shares**2 * (sizes**2).sum()
    )
    variances = clusters / (clusters - 1) * deviations / rows**2
    mean = float(rows * (variances / shares).sum() / (len(used) - 1))
    return max(mean, 1.0)


def _merged_cells(both: Floats, *, ordered: bool) -> Ints:
    """Returns for each cell the number of the merged one that it belongs to.

    Args:
        both: rows of the reference and of the window by cell, shape (2, cells).
        ordered: whether only neighbours may be merged.
    """
    shares: Floats = both.sum(axis=0) / both.sum()
    least = both.sum(axis=1).min()
    if ordered:
        return _merged_neighbours(shares, minimum=_LEAST_EXPECTED / least)
    rare = shares * least < _LEAST_EXPECTED
    if rare.any() and shares[rare].sum() * least < _LEAST_EXPECTED and not rare.all():
        # All rare cells together are rare too: they join the smallest of the others.
        rare[np.flatnonzero(~rare)[np.argmin(shares[~rare])]] = True
    merged = np.zeros(len(shares), dtype=np.int64)
    merged[~rare] = np.arange((~rare).sum()) + bool(rare.any())
    return merged


def _merged_neighbours(shares: Floats, *, minimum: float) -> Ints:
    merged, number, mass = np.zeros(len(shares), dtype=np.int64), 0, 0.0
    for cell, share in enumerate(shares):
        merged[cell] = number
        mass += share
        if mass >= 1 / _ORDERED_CELLS:
            number, mass = number + 1, 0.0
    if mass < minimum:
        merged = np.minimum(merged, max(number - 1, 0))
    return merged


def _chi_squared(table: Floats) -> float:
    """Returns the statistic of a table of two rows, none of whose columns is empty."""
    return float(stats.chi2_contingency(table, correction=False).statistic)
