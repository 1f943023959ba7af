"""A shift plan: weeks of generated rows after a data set's period, and what changes in them."""

from typing import Literal

from pydantic import Field

from sashiko.base.yaml_models import Frozen

__all__ = ["Shift", "ShiftKind", "ShiftPlan"]

ShiftKind = Literal["covariate", "label", "phrases", "concept", "bias"]


class Shift(Frozen):
    """A change that is planted into the weeks of a plan."""

    kind: ShiftKind = Field(
        description="covariate: the mix of inputs; label: the mix of cases behind the labels, and "
        "with it that of the inputs; phrases: words that no earlier row has; concept: the labels "
        "of equal inputs; bias: how one group is written about, not how it is labelled"
    )
    size: float = Field(
        gt=0,
        le=1,
        description="the share of a week's rows that a complete change concerns; for bias, the "
        "share of the group's rows that can change",
    )
    week: int = Field(1, ge=1, description="the first week with the change; the plan's first is 1")
    grows_over: int = Field(
        1, ge=1, description="weeks over which it grows evenly to its size; 1: sudden"
    )

    def size_in(self, week: int) -> float:
        """Returns its size in a week, counted from 1; 0 before it begins."""
        return self.size * min(max(week - self.week + 1, 0) / self.grows_over, 1.0)


class ShiftPlan(Frozen):
    """Weeks that follow the generator's period, each with the same number of rows.

    The rows of the period are the same bytes with a plan and without one.
    """

    weeks: int = Field(ge=1, le=520)
    rows_per_week: int = Field(ge=1, description="spread evenly over the week")
    shifts: tuple[Shift, ...] = Field((), description="sizes of one kind add up; none: quiet weeks")

    @property
    def rows(self) -> int:
        """The rows of all weeks."""
        return self.weeks * self.rows_per_week

    def size(self, kind: ShiftKind, *, week: int) -> float:
        """Returns the size of all shifts of a kind together in a week, counted from 1."""
        return sum(shift.size_in(week) for shift in self.shifts if shift.kind == kind)
