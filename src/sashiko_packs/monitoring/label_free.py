"""What the accuracy of a window would be if scores still meant what they meant in the reference.

No label is needed, and nothing is learnt about a change of what the labels mean: the estimate stays
where it was while the accuracy falls. So it has a condition, is withdrawn when the inputs drifted,
raises no alarm, and has no interval, since sampling is the smallest part of its error.
"""

from collections.abc import Sequence

import numpy as np

from sashiko.base.yaml_models import Frozen
from sashiko.evaluation.metrics.arrays import Ints
from sashiko_packs.monitoring.checks import MonitorCheck

CONDITION = "if P(label | score) is unchanged"


class LabelFreeAccuracy(Frozen):
    """The estimate; never shown without its condition."""

    value: float | None  # None if withdrawn
    condition: str = CONDITION
    withdrawn: str = ""  # why there is no estimate; else empty


def label_free_accuracy(
    *, rows: Ints, right: Ints, window: Ints, input_checks: Sequence[MonitorCheck]
) -> LabelFreeAccuracy:
    """Weighs the reference's accuracy by score with the window's scores.

    Args:
        rows: of the reference by bin of the score, shape (bins,).
        right: those of them that were decided as labelled.
        window: rows of the window by the same bins.
        input_checks: the checks of the window's columns and texts, without that of the scores.

    Returns:
        The estimate; withdrawn if inputs drifted or could not be judged, or if scores lie where the
        reference has no rows.
    """
    drifted = [check.name for check in input_checks if check.outcome == "alarm"]
    if drifted:
        return LabelFreeAccuracy(value=None, withdrawn=f"alarm: {', '.join(drifted)}")
    if not any(check.outcome == "ok" for check in input_checks):
        return LabelFreeAccuracy(value=None, withdrawn="no input was judged")
    if window.sum() == 0 or window[rows == 0].sum() > 0:
        return LabelFreeAccuracy(value=None, withdrawn="the reference has no rows of these scores")
    known = rows > 0
    accuracy = np.divide(right, rows, out=np.zeros(len(rows)), where=known)
    return LabelFreeAccuracy(value=float((window * accuracy).sum() / window.sum()))
