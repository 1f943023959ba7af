"""Finds columns that tell the label apart alone, by the threshold of Validate."""

from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow.compute as pc

from sashiko.contract.leaks import FEWEST_ROWS, LEAK, SUSPICIOUS, column_auc
from sashiko.data.draft.profile import Profile
from sashiko.evaluation.metrics.arrays import Bools


def suspicious_columns(columns: Sequence[Profile], positive: Bools) -> Mapping[str, float]:
    """Returns the columns with an AUC above `SUSPICIOUS` against the label, name -> AUC.

    `positive` says per row whether it has the positive label, shape (rows,). The mapping is empty
    if too few rows have one of the labels.
    """
    if min(positive.sum(), (~positive).sum()) < FEWEST_ROWS:
        return {}
    aucs = {column.name: column_auc(column.values, positive) for column in columns}
    return {name: auc for name, auc in aucs.items() if auc > SUSPICIOUS}


def describe_suspicion(column: Profile, auc: float, positive: Bools) -> str:
    """Says how well a column tells the label apart, and what to ask about it."""
    text = f"alone it tells the label apart with an AUC of {auc:.3f}"
    filled = np.asarray(pc.is_valid(column.values))
    if not filled.all():
        text += (
            f" (filled in {100 * filled[positive].mean():.1f} % of the positive rows and "
            f"{100 * filled[~positive].mean():.1f} % of the others)"
        )
    if auc > LEAK:
        return (
            f"{text}, as a column does that is filled in after the decision, so it is left out of "
            "`textColumns`; if it is known when the model is asked, add it there, and the reason "
            f"under `acceptedLeaks: [{{column: {column.name}, reason: ...}}]`"
        )
    return f"{text}: is it known when the model is asked?"
