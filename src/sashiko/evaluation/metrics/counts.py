"""Counts of the rows by stratum, group, label and prediction: all that a bias metric needs of them.

One pass over the rows fills a table per facet; each group of the facet, and each resample of an
interval, is then a sum of that table's cells, at a cost that does not grow with the rows.
"""

from dataclasses import dataclass, replace

import numpy as np

from sashiko.evaluation.metrics.arrays import Bools, Ints


@dataclass(frozen=True)
class Counts:
    """Rows of a disadvantaged group and of everyone else.

    Attributes:
        cells: rows by [stratum, disadvantaged, label, predicted positive], shape
            (strata, 2, labels, 2), int64.
        positive: whether a label is a positive outcome, shape (labels,).
        missing: rows without a facet value: they belong to neither group and are in no cell.
        stratified: whether a group variable made the strata; else there is one, of all rows.
    """

    cells: Ints
    positive: Bools
    missing: int = 0
    stratified: bool = False

    @property
    def n_advantaged(self) -> int:
        """Rows of the advantaged group."""
        return int(self.cells[:, 0].sum())

    @property
    def n_disadvantaged(self) -> int:
        """Rows of the disadvantaged group."""
        return int(self.cells[:, 1].sum())

    def in_one_stratum(self) -> "Counts":
        """Adds the strata up: all that a metric needs which conditions on none."""
        return replace(self, cells=self.cells.sum(axis=0, keepdims=True), stratified=False)


@dataclass(frozen=True)
class FacetTable:
    """Rows of a data set by the values of one facet.

    Attributes:
        cells: rows by [stratum, facet value, label, predicted positive], shape
            (strata, values, labels, 2), int64.
        positive: as in `Counts`.
        missing: as in `Counts`.
        stratified: as in `Counts`.
    """

    cells: Ints
    positive: Bools
    missing: int
    stratified: bool

    def against_rest(self, disadvantaged: Bools) -> Counts:
        """Sets some of the facet's values against all others.

        Args:
            disadvantaged: whether a value is of the disadvantaged group, shape (values,).
        """
        groups = [self.cells[:, mask].sum(axis=1) for mask in (~disadvantaged, disadvantaged)]
        return Counts(
            cells=np.stack(groups, axis=1),
            positive=self.positive,
            missing=self.missing,
            stratified=self.stratified,
        )


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
        facet: number of the row's facet value, from 0; -1 where it has none; shape (rows,).
        labels: number of its label, from 0, shape (rows,).
        predicted: whether it is predicted positive, shape (rows,); None where nothing was
            predicted, which counts as not.
        values: how many values the facet has.
        positive: whether a label is a positive outcome, shape (labels,).
        strata: number of the group variable's value, from 0, shape (rows,); None if there is no
            group variable.
        counts: how many rows each row stands for, shape (rows,); None for one each.

    Returns:
        The table, which holds the rows that have a facet value.
    """
    shape = (1 if strata is None else int(strata.max(initial=0)) + 1, values, len(positive), 2)
    index = np.zeros(len(facet), dtype=np.int64) if strata is None else strata.astype(np.int64)
    for codes, size in ((facet, values), (labels, len(positive)), (predicted, 2)):
        index *= size
        if codes is not None:
            index += codes
    present = facet >= 0
    absent = not present.all()
    if absent:
        index = index[present]
    counted = np.bincount(
        index,
        # Floats that hold whole numbers up to 2^53 exactly.
        weights=None if counts is None else counts[present],
        minlength=int(np.prod(shape)),
    ).astype(np.int64)
    rows = len(facet) if counts is None else int(counts.sum())
    return FacetTable(
        cells=counted.reshape(shape),
        positive=positive,
        missing=rows - int(counted.sum()),
        stratified=strata is not None,
    )
