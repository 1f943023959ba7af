"""The interface of generators."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import pyarrow as pa

__all__ = ["Generator", "Order", "TruthfulGenerator"]

BATCH_ROWS = 65_536


@dataclass(frozen=True)
class Order:
    """The rows to generate; equal orders give equal bytes."""

    rows: int
    seed: int = 0
    bias: bool = True  # plant the known bias into the label
    drift: bool = False  # let the mix of topics shift over time


class Generator(Protocol):
    """Generates a data set in batches; memory does not grow with the rows."""

    @property
    def schema(self) -> pa.Schema:
        """The columns of every batch."""

    def batches(self, order: Order, *, batch_rows: int = BATCH_ROWS) -> Iterator[pa.RecordBatch]:
        """Yields the rows in order; a row does not depend on `batch_rows`."""


@runtime_checkable
class TruthfulGenerator(Generator, Protocol):
    """A generator that knows the fair decision for each row, which the report compares with."""

    def truth(self, order: Order, *, batch_rows: int = BATCH_ROWS) -> Iterator[pa.RecordBatch]:
        """Yields per row `key` (string), `label` and `truth` (both 0 or 1), in the same order.

        The truth is the fair decision. It is not in the batches and is not written to a file:
        nothing that trains or judges a model may read it. The label shows whether rows with these
        keys are the generator's.
        """
