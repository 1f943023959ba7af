"""Drift of a column or of the scores: Pearson's chi-squared test, with Cohen's w as its size.

Sources: J. Cohen, Statistical power analysis for the behavioral sciences (1988), chapter 7, for w:
the root of the chi-squared statistic by row. The statistic's distribution at a given w is the
noncentral chi-squared one, with the noncentrality w^2 * rows. H. B. Mann and A. Wald, On the choice
of the number of class intervals (Annals of Mathematical Statistics 13, 1942): the best number of
cells for numbers grows with the rows. Of rows in clusters D. R. Thomas and J. N. K. Rao,
Small-sample comparisons of level and power for simple goodness-of-fit statistics under cluster
sampling, Journal of the American Statistical Association 82 (1987), 630-636: the statistic by its
degrees of freedom, divided by the design effect, is compared with an F distribution.
"""

import math

import numpy as np
from scipy import stats

from sashiko.evaluation.metrics.arrays import Floats, Ints
from sashiko_packs.monitoring.checks import COHENS_W, Measurement
from sashiko_packs.monitoring.clusters import TOO_FEW_CLUSTERS, ClusteredCounts

ROWS_NEEDED = 100
_ORDERED_CELLS = 5  # of scores and numbers; more cells cost power against a shift of the whole
_FEW_ORDERED_CELLS, _FEW_ROWS = 3, 1000  # in a window of fewer rows
_LEAST_EXPECTED = 5  # rows of the window in a cell (Cochran, Biometrics 10, 1954)


def measure_drift(
    name: str,
    reference: Ints,
    window: ClusteredCounts,
    *,
    ordered: bool,
    tolerance: float,
) -> Measurement:
    """Measures how far a window's distribution is from the reference's.

    Cells with few rows are merged, by the rows of both together: neighbours where the cells are
    `ordered`, into 5 parts, or 3 if the window has fewer than 1,000 rows; else all rare ones.

    Args:
        name: of the measurement.
        reference: rows by cell, shape (cells,).
        window: rows by the same cells, in clusters.
        ordered: whether the cells are bins of a number or a score, ascending.
        tolerance: of Cohen's w.

    Returns:
        The measurement; its `value` is w without the part that chance alone would give, 0 or more.
    """
    rows = int(window.effective_rows)
    measured = Measurement(
        name=name,
        kind="drift",
        effect=COHENS_W,
        rows=rows,
        rows_needed=ROWS_NEEDED,
        tolerance=tolerance,
        note=window.note,
    )
    if reference.sum() < ROWS_NEEDED:
        reason = f"the reference has {int(reference.sum()):,} rows, {ROWS_NEEDED} are needed"
        return measured.model_copy(update={"reason": reason})
    if rows < ROWS_NEEDED:
        return measured
    if not window.has_enough_clusters:
        return measured.model_copy(update={"reason": TOO_FEW_CLUSTERS})
    both = np.stack([reference.astype(np.float64), window.counts / window.design_effect])
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
            "p_unchanged": _p_value(statistic, freedom, window.freedom, noncentrality=0.0),
            "p_tolerated": _p_value(
                statistic, freedom, window.freedom, noncentrality=effective * tolerance**2
            ),
        }
    )


def _p_value(statistic: float, freedom: int, of_variance: float, *, noncentrality: float) -> float:
    """Returns the probability of at least this statistic.

    Args:
        statistic: Pearson's, divided by the design effect.
        freedom: its degrees of freedom.
        of_variance: those of the variance between clusters; infinite if it is known.
        noncentrality: of a change that is tolerated; 0 of none.
    """
    if math.isinf(of_variance):
        return float(stats.ncx2.sf(statistic, freedom, noncentrality))
    ratio, below = statistic / freedom, freedom * of_variance
    if not noncentrality:  # for which SciPy's noncentral distribution is inexact
        return float(stats.f.sf(ratio, freedom, below))
    return float(stats.ncf.sf(ratio, freedom, below, noncentrality))


def _merged_cells(both: Floats, *, ordered: bool) -> Ints:
    """Returns for each cell the number of the merged one that it belongs to.

    Args:
        both: rows of the reference and of the window by cell, shape (2, cells).
        ordered: whether only neighbours may be merged.
    """
    shares: Floats = both.sum(axis=0) / both.sum()
    least = both.sum(axis=1).min()
    if ordered:
        cells = _ORDERED_CELLS if both[1].sum() >= _FEW_ROWS else _FEW_ORDERED_CELLS
        return _merged_neighbours(shares, cells=cells, minimum=_LEAST_EXPECTED / least)
    rare = shares * least < _LEAST_EXPECTED
    if rare.any() and shares[rare].sum() * least < _LEAST_EXPECTED and not rare.all():
        # All rare cells together are rare too: they join the smallest of the others.
        rare[np.flatnonzero(~rare)[np.argmin(shares[~rare])]] = True
    merged = np.zeros(len(shares), dtype=np.int64)
    merged[~rare] = np.arange((~rare).sum()) + bool(rare.any())
    return merged


def _merged_neighbours(shares: Floats, *, cells: int, minimum: float) -> Ints:
    merged, number, mass = np.zeros(len(shares), dtype=np.int64), 0, 0.0
    for cell, share in enumerate(shares):
        merged[cell] = number
        mass += share
        if mass >= 1 / cells:
            number, mass = number + 1, 0.0
    if mass < minimum:
        merged = np.minimum(merged, max(number - 1, 0))
    return merged


def _chi_squared(table: Floats) -> float:
    """Returns the statistic of a table of two rows, none of whose columns is empty."""
    return float(stats.chi2_contingency(table, correction=False).statistic)
