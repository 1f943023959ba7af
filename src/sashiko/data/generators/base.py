"""The interface of generators."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import pyarrow as pa

from sashiko.errors import InputError
from sashiko.settings.recipe_data import GeneratorSource
from sashiko.settings.shifts import ShiftPlan

__all__ = ["Generator", "Order"]
BATCH_ROWS = 65_536


@dataclass(frozen=True)
class Order:
    """The rows to generate; equal orders give equal bytes."""

    rows: int
    seed: int = 0
    bias: bool = True  # plant the known bias into the label
    drift: bool = False  # let the mix of topics shift over time
    plan: ShiftPlan | None = None  # weeks that follow the rows, with shifts


def order_of(source: GeneratorSource) -> Order:
    """Returns the order that a recipe's source stands for."""
    return Order(
        rows=source.rows, seed=source.seed, bias=source.bias, drift=source.drift, plan=source.plan
    )


class Generator(Protocol):
    """Generates a data set in batches; memory does not grow with the rows.

    One that follows shift plans has the attribute `follows_plans`, which is true.
    """

    @property
    def schema(self) -> pa.Schema:
        """The columns of every batch."""

    def batches(self, order: Order, *, batch_rows: int = BATCH_ROWS) -> Iterator[pa.RecordBatch]:
        """Yields the rows in order; a row does not depend on `batch_rows`."""


def check_plan(generator: Generator, order: Order, *, name: str) -> None:
    """Refuses a plan that the generator called `name` would ignore.

    Raises:
        InputError: if the order has a plan and the generator follows none.
    """
    if order.plan is not None and not getattr(generator, "follows_plans", False):
        raise InputError(
            f"generator `{name}` follows no shift plan: remove `plan`, or follow it and say "
            "`follows_plans = True` in the generator"
        )
