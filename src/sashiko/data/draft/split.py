"""Drafts the split of the rows: by time if a column allows it, else by a hash of the text."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from sashiko.data.draft.profile import Profile, RawTable
from sashiko.data.draft.records import SplitDraft
from sashiko.evaluation.metrics.arrays import Bools

_TRAIN, _UNTIL_TEST = 0.7, 0.85


def split_draft(columns: Sequence[Profile], positive: Bools, *, raw: RawTable) -> SplitDraft:
    """Returns a split by the first date whose bounds give three parts with both labels.

    Args:
        columns: all that may split: no key, label, sensitive or personal column.
        positive: per row whether it has the positive label.
        raw: the file, whose other columns are not used.
    """
    dates = [column for column in columns if column.is_date]
    for column in dates:
        if column.missing:
            continue
        days = np.asarray(column.values.cast(pa.date32()))
        ordered = np.sort(days)
        bounds = [ordered[int(share * len(days))] for share in (_TRAIN, _UNTIL_TEST)]
        parts = np.searchsorted(bounds, days, side="right")
        if all(len(np.unique(positive[parts == part])) == 2 for part in range(3)):
            return SplitDraft(
                column=column.name,
                validation_from=bounds[0].item(),
                test_from=bounds[1].item(),
                why="rows of later days test, as a model meets them; "
                + ", ".join(f"{100 * np.mean(parts == part):.0f} %" for part in range(3))
                + " of the rows train, validate, test",
            )
    private = [column.name for column in raw.columns if column.is_date and column not in dates]
    if not dates and private:
        why = f"{', '.join(private)} may not be read for it, and no other column is a date"
    elif not dates:
        warnings = [
            f"; {column.name}: {column.warning}" for column in raw.columns if column.warning
        ]
        why = f"no column is a date, so rows cannot be split by time{''.join(warnings)}"
    else:
        names = ", ".join(column.name for column in dates)
        why = f"{names} has gaps, or too few days or labels, for three parts in time"
    return SplitDraft(why=why)
