"""Synthetic complaints to route to one of six desks.

A ticket is a complaint (`complaints.py`) whose product nobody has recorded: only its text tells it.
Each product has a desk, and the two fast ones answer on the same day. A fair decision depends on
the product only. The label `desk` is that of the product, but
for a few tickets that go to any desk and, if `bias` is on, for the women's tickets about a credit
card: most of them were handed to the current-account desk, which is slow. So the recall of one
class, `Credit card`, depends on the gender. `age_band` has no effect.
From the first day of the test split on, some tickets name their topic in other words. `drift` is as
in the complaints; a shift plan is refused.
"""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa

from sashiko.data.generators import complaints_texts as bank
from sashiko.data.generators.base import BATCH_ROWS, Order
from sashiko.data.generators.complaints import (
    GENDERS,
    Complaints,
    Indices,
    Rows,
    Topics,
    complaint_batch,
    genders,
    pick,
    products,
    row_batches,
    take,
    uniform,
)

# In the order of the contract's classes: the fast desks come last.
FAST = ("Credit card", "Mobile app")
DESKS = (*(product for product in bank.TOPICS if product not in FAST), *FAST)
# How many of the women's tickets about a credit card went to the current-account desk instead.
MISROUTED_SHARE = 0.80
# Few steps of training must suffice to learn what depends on product and gender together.
WEIGHTS = {"Current account": 2.0, "Credit card": 3.0}
# Of all tickets; they went to any desk, each as likely.
ASTRAY_SHARE = 0.04
# From the first day of the test split on; a model of words has not met these topics.
REWORDED_SHARE = 0.25
REWORDED = {
    "Current account": (
        "the wages from my employer", "my chequebook", "going into the red before payday",
        "the regular bills",
    ),
    "Credit card": (
        "the plastic in my wallet", "my Visa purchases", "the cashback from shopping",
        "the PIN at the till",
    ),
    "Mortgage": (
        "buying our first home", "the surveyor's report", "the money for our flat",
        "the property deeds",
    ),
    "Personal loan": (
        "the money borrowed for a kitchen", "consolidating my debts", "borrowing for a wedding",
        "what I still owe the lender",
    ),
    "Savings account": (
        "my nest egg", "the rainy day fund", "money put aside for retirement",
        "the deposit that earns more",
    ),
    "Mobile app": (
        "the software on my phone", "the login on my tablet", "the crash on my iPhone",
        "a button that ignores taps",
    ),
}  # fmt: skip
_TOPICS = Topics(
    [(*topics, *REWORDED[product]) for product, topics in bank.TOPICS.items()],
    weights=[WEIGHTS.get(product, 1.0) for product in bank.TOPICS],
    new=len(REWORDED["Mortgage"]),
    new_share=REWORDED_SHARE,
)
_SHARED = [name for name in Complaints().schema.names if name not in ("product", "escalate")]
_SCHEMA = pa.schema([*map(Complaints().schema.field, _SHARED), ("desk", pa.string())])


class Tickets:
    """The generator; the module's docstring describes the planted bias."""

    @property
    def schema(self) -> pa.Schema:
        """The columns: strings, and `received_at` as UTC microseconds in whole seconds."""
        return _SCHEMA

    def batches(self, order: Order, *, batch_rows: int = BATCH_ROWS) -> Iterator[pa.RecordBatch]:
        """Yields the tickets in the order of receipt."""
        for rows in row_batches(order, batch_rows):
            complaints = complaint_batch(order, rows, topics=_TOPICS)
            columns = [*map(complaints.column, _SHARED), take([DESKS], 0, _desks(order, rows))]
            yield pa.record_batch(columns, schema=_SCHEMA)


def _desks(order: Order, rows: Rows) -> Indices:
    of_products = np.array([DESKS.index(product) for product in bank.TOPICS])
    right = of_products[products(order, rows, topics=_TOPICS)]
    concerned = (right == DESKS.index("Credit card")) & (
        genders(order, rows) == GENDERS.index("female")
    )
    misrouted = concerned & (uniform(order.seed, "misrouted", rows) < MISROUTED_SHARE)
    decided = np.where(misrouted & order.bias, DESKS.index("Current account"), right)
    astray = uniform(order.seed, "astray", rows) < ASTRAY_SHARE
    return np.where(astray, pick(uniform(order.seed, "any desk", rows), len(DESKS)), decided)
