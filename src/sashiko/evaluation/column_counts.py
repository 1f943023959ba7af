"""The record of a column's counts; steps that only pass it on load no arrays for it."""

from itertools import pairwise
from typing import Final, Literal

from pydantic import model_validator

from sashiko.base.yaml_models import Frozen

UNCOUNTED: Final = 2  # cells after those of values or bins: any other value, and none


class ColumnCounts(Frozen):
    """Rows of a column by value, or by bin of a number.

    A bin holds the values above one edge, up to and with the next; the first has no lower end and
    the last no upper one.
    """

    column: str
    # A `category` has `values`, a `number` bins, a `text` bins of its length in letters.
    kind: Literal["category", "number", "text"]
    values: tuple[str, ...] = ()  # of a category, as requests write them, in alphabetical order
    edges: tuple[float, ...] = ()  # between bins, ascending
    # Rows of each value, or bin, then of any other value, then without one.
    counts: tuple[int, ...]

    @model_validator(mode="after")
    def _check_cells(self) -> "ColumnCounts":
        if self.edges if self.kind == "category" else self.values:
            raise ValueError("a category has `values`, another column `edges`")
        if any(low >= high for low, high in pairwise(self.edges)):
            raise ValueError("`edges` must ascend")
        cells = self.named + UNCOUNTED
        if len(self.counts) != cells or min(self.counts) < 0:
            raise ValueError(f"`counts` needs {cells} numbers of rows")
        return self

    @property
    def is_ordered(self) -> bool:
        """Whether the cells are bins of a number."""
        return self.kind != "category"

    @property
    def named(self) -> int:
        """The number of values or bins."""
        return len(self.edges) + 1 if self.is_ordered else len(self.values)
