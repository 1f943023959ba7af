"""What every generator offers."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import pyarrow as pa

__all__ = ["Generator", "Order", "TruthfulGenerator"]

BATCH_ROWS = 65_536


@dataclass(frozen=True)
class Order:
    """Which rows to make.

    Attributes:
        rows: how many.
        seed: equal orders give equal bytes.
        bias: plant the known bias into the label.
        drift: let the mix of topics shift over time.
    """

    rows: int
    seed: int = 0
    bias: bool = True
    drift: bool = False


class Generator(Protocol):
    """Makes a data set batch by batch, in memory that does not grow with the rows."""

    @property
    def schema(self) -> pa.Schema:
        """The columns of every batch."""

    def batches(self, order: Order, *, batch_rows: int = BATCH_ROWS) -> Iterator[pa.RecordBatch]:
        """Yields the rows in order; a row does not depend on `batch_rows`."""


@runtime_checkable
class TruthfulGenerator(Generator, Protocol):
    """A generator that knows of each row what a fair decision would be; the report tells it."""

    def truth(self, order: Order, *, batch_rows: int = BATCH_ROWS) -> Iterator[pa.RecordBatch]:
        """Yields per row `key` (string), `label` and `truth` (both 0 or 1), in the same order.

        The truth is what a fair decision would be. It is no column of a batch and is written
        nowhere: nothing that trains or judges a model may read it. The label is there to tell
        whether rows of that key are the generator's at all.
        """
