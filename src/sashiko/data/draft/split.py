"""How the rows are split: by time where a column allows it, else by a hash of the text."""

import datetime as dt
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from sashiko.data.draft.profile import Profile, RawTable
from sashiko.data.draft.records import SplitDraft
from sashiko.evaluation.metrics.arrays import Bools

_TRAIN, _UNTIL_TEST = 0.7, 0.85
_DAY = 86_400_000_000  # microseconds


def split_draft(columns: Sequence[Profile], positive: Bools, *, raw: RawTable) -> SplitDraft:
    """Looks for a date whose bounds give three parts that each have both labels.

    Args:
        columns: what a split may use: no key, label, sensitive or personal column.
        positive: per row whether it has the positive label.
        raw: the file, whose other columns are not used.
    """
    kinds = ("date", "timestamp")
    dates = [column for column in columns if column.logical_type in kinds]
    for column in dates:
        if column.missing:
            continue
        days = _days(column)
        ordered = np.sort(days)
        bounds = [int(ordered[int(share * len(days))]) for share in (_TRAIN, _UNTIL_TEST)]
        parts = np.searchsorted(bounds, days, side="right")
        if all(_has_both(positive[parts == part]) for part in range(3)):
            return SplitDraft(
                column=column.name,
                validation_from=_date(bounds[0]),
                test_from=_date(bounds[1]),
                why="rows of later days test, as a model meets them; "
                + ", ".join(f"{100 * np.mean(parts == part):.0f} %" for part in range(3))
                + " of the rows train, validate, test",
            )
    private = [c.name for c in raw.columns if c.logical_type in kinds and c not in dates]
    if not dates and private:
        why = f"{', '.join(private)} may not be read for it, and no other column is a date"
    elif not dates:
        why = "no column is a date, so rows cannot be split by time"
        why += "".join(
            f"; {column.name}: {column.warning}" for column in raw.columns if column.warning
        )
    else:
        named = ", ".join(column.name for column in dates)
        why = f"{named} has gaps, or too few days or labels, for three parts in time"
    return SplitDraft(why=why)


def _days(column: Profile) -> npt.NDArray[np.int64]:
    zone = pa.timestamp("us", tz="UTC")
    micros = np.asarray(column.values.cast(zone).cast(pa.int64()))
    days: npt.NDArray[np.int64] = micros // _DAY
    return days


def _date(day: int) -> dt.date:
    return dt.date(1970, 1, 1) + dt.timedelta(days=day)


def _has_both(positive: Bools) -> bool:
    return bool(positive.any() and not positive.all())
