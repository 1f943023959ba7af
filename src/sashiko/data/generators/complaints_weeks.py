"""The weeks of a shift plan for the complaints: their dates, and which rows a shift concerns.

What the kinds of `settings.shifts` are here:

- `covariate`: complaints of other products become ones about the last product of the bank. The size
  is the distance in total variation between the mixes.
- `label`: complaints of low and medium severity become severe ones; the size likewise.
- `phrases`: the severity is told by a phrase that no row of the period has.
- `concept`: the desk decides the other way round, whatever the severity.
- `bias`: medium and severe complaints by women are worded as low ones. Label and truth still follow
  the severity.
"""

import datetime as dt
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sashiko.data.generators.base import Order
from sashiko.data.generators.counter_random import uniform
from sashiko.errors import InputError
from sashiko.settings.shifts import ShiftKind

Rows = NDArray[np.uint64]
Bools = NDArray[np.bool_]

WEEK = dt.timedelta(days=7)


@dataclass(frozen=True)
class Weeks:
    """The weeks that follow the period; none without a plan."""

    order: Order

    @property
    def rows(self) -> int:
        """All rows: those of the period, and those of the weeks."""
        return self.order.rows + (self.order.plan.rows if self.order.plan else 0)

    def number(self, rows: Rows) -> NDArray[np.int64]:
        """Returns each row's week, from 1; 0 in the period."""
        if self.order.plan is None:
            return np.zeros(len(rows), dtype=np.int64)
        after = rows.astype(np.int64) - self.order.rows
        return np.maximum(after // self.order.plan.rows_per_week + 1, 0)

    def elapsed(self, rows: Rows, moment: NDArray[np.float64]) -> NDArray[np.float64]:
        """Returns the weeks since the period's end; `moment` is a row's share of its slot."""
        if self.order.plan is None:
            return np.zeros(len(rows))
        weeks: NDArray[np.float64] = (rows - float(self.order.rows) + moment) / float(
            self.order.plan.rows_per_week
        )
        return weeks

    def concerned(self, rows: Rows, kind: ShiftKind, *, of: float = 1.0) -> Bools:
        """Says which rows a kind of shift concerns, drawn by row.

        Args:
            rows: numbers of the rows.
            kind: of the shifts.
            of: the share of rows that can change; the plan's size is one of all rows.

        Raises:
            InputError: if the plan wants more rows to change than can.
        """
        plan = self.order.plan
        if plan is None:
            return np.zeros(len(rows), dtype=np.bool_)
        sizes = np.array([0.0, *(plan.size(kind, week=week + 1) for week in range(plan.weeks))])
        if sizes.max() > of + 1e-9:
            raise InputError(
                f"shift plan: the shifts of kind `{kind}` add up to {sizes.max():.3g}, and at most "
                f"{of:.3g} of the complaints can change so: lower their `size`"
            )
        if not sizes.any():
            return np.zeros(len(rows), dtype=np.bool_)
        share = sizes[self.number(rows)] / of
        concerned: Bools = uniform(self.order.seed, f"shift {kind}", rows) < share
        return concerned
