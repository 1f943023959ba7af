"""`shadow.json`: a candidate beside the champion on captured requests. It holds aggregates only."""

import datetime as dt
from functools import partial
from typing import Final, Literal

from sashiko.core.yaml_models import Frozen, read_record
from sashiko.evaluation.metrics.uncertainty import Estimate, Standing
from sashiko.monitoring.result import Cells

QUANTILES: Final = tuple(step / 20 for step in range(1, 20))

Change = Literal[
    "same decisions",
    "more positive decisions",
    "fewer positive decisions",
    "no change of the positive rate is shown",
]


class Difference(Frozen):
    """The candidate's value minus the champion's on the same rows."""

    outcome: Change | Standing | Literal["not judged"]
    estimate: Estimate | None = None  # None if it is not judged, or no decision differs
    reason: str = ""  # why it is not judged; else empty


class Comparison(Frozen):
    """What two versions make of the same rows."""

    requests: int  # that both have answered
    rows: int  # of those
    refused: int  # rows of requests that the champion has answered and the candidate refuses
    audited_rows: int  # of the rows, those that were drawn for the audit and are labelled
    # Rows that are positive by neither, by the candidate alone, by the champion alone, by both;
    # None for a hidden count.
    decisions: Cells
    positive_rate: Difference
    accuracy: Difference  # on audited rows
    auc: Difference  # likewise
    # Of the scores' differences over rows, by `QUANTILES`; none of too few rows.
    score_differences: tuple[Estimate, ...]


class Shadow(Frozen):
    """A candidate beside the champion on the requests of a window."""

    group: str
    version: int  # the candidate's
    artifact_sha256: str  # the same
    champion: int  # the version that answered
    start: dt.datetime  # of the window
    end: dt.datetime  # not part of it
    comparison: Comparison
    note: str  # that the candidate may have learned from these rows; else empty


read_shadow = partial(read_record, Shadow)
