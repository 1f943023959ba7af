"""Counts of rows by stratum, group, label and prediction, from which bias metrics are computed.

One pass over the rows fills a table per facet. Each group of the facet and each resample is then a
sum of the table's cells, at a cost independent of the number of rows.
"""

from dataclasses import dataclass, replace

import numpy as np

from sashiko.evaluation.metrics.arrays import Bools, Ints


@dataclass(frozen=True)
class Counts:
    """Counts of a disadvantaged group and of all other rows."""

    # Rows by [stratum, disadvantaged, label, predicted positive], shape (strata, 2, labels, 2),
    # int64.
    cells: Ints
    positive: Bools  # whether a label is a positive outcome, shape (labels,)
    missing: int = 0  # rows without a facet value, which are in neither group and in no cell
    # Whether a group variable defines the strata; else there is one stratum.
    stratified: bool = False

    @property
    def n_advantaged(self) -> int:
        """Rows of the advantaged group."""
        return int(self.cells[:, 0].sum())

    @property
    def n_disadvantaged(self) -> int:
        """Rows of the disadvantaged group."""
        return int(self.cells[:, 1].sum())

    def collapse_strata(self) -> "Counts":
        """Sums over the strata, for metrics that do not condition on them."""
        return replace(self, cells=self.cells.sum(axis=0, keepdims=True), stratified=False)

    def collapse_labels(self) -> "Counts":
        """Sums over the positive and over the other labels, for metrics of these two alone."""
        parts = [self.cells[:, :, mask].sum(axis=2) for mask in (~self.positive, self.positive)]
        return replace(self, cells=np.stack(parts, axis=2), positive=np.array([False, True]))


@dataclass(frozen=True)
class FacetTable:
    """Counts of a data set by the values of one facet."""

    # Rows by [stratum, facet value, label, predicted positive], shape (strata, values, labels, 2),
    # int64.
    cells: Ints
    positive: Bools  # as in `Counts`
    missing: int  # as in `Counts`
    stratified: bool  # as in `Counts`

    def one_vs_rest(self, disadvantaged: Bools) -> Counts:
        """Compares the values that `disadvantaged`, shape (values,), is true of with the others."""
        groups = [self.cells[:, mask].sum(axis=1) for mask in (~disadvantaged, disadvantaged)]
        return Counts(np.stack(groups, axis=1), self.positive, self.missing, self.stratified)


def tabulate(
    facet: Ints,
    labels: Ints,
    predicted: Bools | None,
    *,
    values: int,
    positive: Bools,
    strata: Ints | None = None,
    counts: Ints | None = None,
) -> FacetTable:
    """Counts rows by stratum, facet value, label and prediction.

    Args:
        facet: code of the row's facet value, from 0; -1 if missing; shape (rows,).
        labels: code of its label, from 0, shape (rows,).
        predicted: whether it is predicted positive, shape (rows,); None without predictions, which
            counts as negative.
        values: the number of values of the facet.
        positive: whether a label is a positive outcome, shape (labels,).
        strata: code of the group variable's value, from 0, shape (rows,); None without a group
            variable.
        counts: the number of rows that each row represents, shape (rows,); None for one each.

    Returns:
        The table of the rows with a facet value.
    """
    shape = (1 if strata is None else int(strata.max(initial=0)) + 1, values, len(positive), 2)
    index = np.zeros(len(facet), dtype=np.int64) if strata is None else strata.astype(np.int64)
    for codes, size in ((facet, values), (labels, len(positive)), (predicted, 2)):
        index *= size
        if codes is not None:
            index += codes
    present = facet >= 0
    # Floats represent whole numbers up to 2^53 exactly.
    weights = None if counts is None else counts[present]
    cells = np.bincount(index[present], weights, int(np.prod(shape))).astype(np.int64)
    return FacetTable(
        cells=cells.reshape(shape),
        positive=positive,
        missing=(len(facet) if counts is None else int(counts.sum())) - int(cells.sum()),
        stratified=strata is not None,
    )
