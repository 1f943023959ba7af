"""Synthetic complaints and the days that were left when each was closed.

A bank has 56 days to close a complaint (`complaints.py`). The label `days_left` counts those that
are left on the day of closing; it is negative if that day comes later. The work takes longer the
more severe the complaint is, which only its text tells, and for some products. Two queues add days
by chance. If `bias` is on, most complaints of women were set aside for some weeks first. `age_band`
has no effect. New phrases and `drift` are as in the complaints; a shift plan is refused.
"""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa

from sashiko.data.generators.base import BATCH_ROWS, Order
from sashiko.data.generators.complaints import (
    GENDERS,
    Complaints,
    Indices,
    Rows,
    complaint_batch,
    genders,
    pick,
    products,
    row_batches,
    severities,
    uniform,
)

LIMIT = 56  # days: eight weeks, as the FCA's Handbook has it (DISP 1.6.2 R)
# Days of work by severity (low, medium, high), and on top of them by product.
WORK = (6, 22, 40)
PRODUCT_WORK = (0, 2, 12, 6, 4, 0)
# Each of the two queues takes from 0 to 9 days, each as likely.
QUEUE_DAYS = 10
# Of the women's complaints, and for how many days.
SET_ASIDE_SHARE = 0.60
SET_ASIDE_DAYS = 28
_SHARED = [name for name in Complaints().schema.names if name != "escalate"]
_SCHEMA = pa.schema([*map(Complaints().schema.field, _SHARED), ("days_left", pa.int64())])


class Days:
    """The generator; the module's docstring describes the planted bias."""

    @property
    def schema(self) -> pa.Schema:
        """The columns: those of the complaints, and `days_left` in whole days."""
        return _SCHEMA

    def batches(self, order: Order, *, batch_rows: int = BATCH_ROWS) -> Iterator[pa.RecordBatch]:
        """Yields the complaints in the order of receipt."""
        for rows in row_batches(order, batch_rows):
            complaints = complaint_batch(order, rows)
            columns = [*map(complaints.column, _SHARED), pa.array(_days_left(order, rows))]
            yield pa.record_batch(columns, schema=_SCHEMA)


def _days_left(order: Order, rows: Rows) -> Indices:
    days = np.array(WORK)[severities(order, rows)]
    days += np.array(PRODUCT_WORK)[products(order, rows)]
    for queue in ("queue 1", "queue 2"):
        days += pick(uniform(order.seed, queue, rows), QUEUE_DAYS)
    women = genders(order, rows) == GENDERS.index("female")
    aside = order.bias & women & (uniform(order.seed, "set aside", rows) < SET_ASIDE_SHARE)
    rest: Indices = np.where(aside, -SET_ASIDE_DAYS, 0) + LIMIT - days
    return rest
