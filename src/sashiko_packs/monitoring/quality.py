"""The records of a model's quality on labelled rows: audited ones, and all others apart."""

import datetime as dt
from functools import partial
from pathlib import Path
from typing import Final, Literal

from sashiko.base.files import write_json
from sashiko.base.yaml_models import Frozen, read_record
from sashiko.evaluation.metrics.quality import Confusion
from sashiko_packs.monitoring.checks import MonitorCheck

LABELS_FILE: Final = "labels.json"
QUALITY_FILE: Final = "quality.json"


class AuditedPeriod(Frozen):
    """The rows that were drawn from a period for a person to label, and the labels so far."""

    start: dt.datetime
    end: dt.datetime
    answers: int  # rows of the period that the rows were drawn from
    labelled: Confusion  # drawn rows with a label
    unlabelled_positive: int  # drawn rows without one that were decided positive
    unlabelled_negative: int  # and negative
    late: int  # of the labels, those that came after the deadline
    # `complete` has all of its labels; `open` waits for some; `overdue` is closed without some.
    state: Literal["complete", "open", "overdue"]
    # When the last label came, or the deadline passed without it; None while it is open.
    closed: dt.datetime | None

    @property
    def right(self) -> int:
        """Labels that agree with the decision."""
        return self.labelled.true_positives + self.labelled.true_negatives

    @property
    def wrong(self) -> int:
        """Labels that do not."""
        return self.labelled.false_positives + self.labelled.false_negatives

    @property
    def unlabelled(self) -> int:
        """Drawn rows without a label."""
        return self.unlabelled_positive + self.unlabelled_negative

    @property
    def drawn(self) -> int:
        """Rows that were drawn."""
        return self.right + self.wrong + self.unlabelled

    def filled(self, *, right: bool) -> Confusion:
        """Counts the drawn rows as if all unlabelled ones were decided right, or all wrong."""
        counts, positive, negative = (
            self.labelled,
            self.unlabelled_positive,
            self.unlabelled_negative,
        )
        return Confusion(
            true_positives=counts.true_positives + (positive if right else 0),
            false_positives=counts.false_positives + (0 if right else positive),
            false_negatives=counts.false_negatives + (0 if right else negative),
            true_negatives=counts.true_negatives + (negative if right else 0),
        )


class LabelSummary(Frozen):
    """The labels of one version's answers."""

    version: int
    periods: tuple[AuditedPeriod, ...]  # by time; they do not overlap
    ordinary_right: int  # labels of rows that were not drawn, of the window, that agree
    ordinary_wrong: int  # those that do not
    waiting: int  # rows of the window without a label
    known: int  # labels of all of this version's answers, drawn or not, whenever they were given
    duplicated: int  # labels of answered rows that differ from an earlier one, which counts
    corrected: int  # labels of answered rows that a person replaced, with a trace
    unknown: int  # keys with a label that no version ever answered


class AuditedMeasure(Frozen):
    """A share of the drawn rows of closed periods, as an estimate of that of all answers."""

    name: str  # accuracy, recall, specificity, precision or balanced accuracy
    rows: int  # labelled rows that it is a share of
    value: float | None  # None of too few rows
    low: float | None  # lower end of its 95 % interval
    high: float | None  # upper end
    # The value if all unlabelled rows were decided wrong, and right; None as for `value`.
    worst: float | None
    best: float | None
    reference: float | None  # of the version's test split; None if undefined there, or unknown


class Quality(Frozen):
    """A version's quality since its deploy, by audited labels; and by the ordinary ones."""

    # The audit's, valid at every look: accuracy, recall, specificity and precision.
    checks: tuple[MonitorCheck, ...]
    periods: tuple[AuditedPeriod, ...]
    since_deploy: AuditedMeasure  # accuracy
    measures: tuple[AuditedMeasure, ...]  # the others
    ordinary_rows: int  # labels of other rows of the window
    ordinary_accuracy: float | None  # on those; never judged. None of fewer than 10 rows
    labels: LabelSummary

    @property
    def check(self) -> MonitorCheck:
        """The accuracy's."""
        return self.checks[0]


def write_labels(summary: LabelSummary, folder: Path) -> None:
    """Writes `labels.json`."""
    write_json(folder / LABELS_FILE, summary.model_dump(mode="json"))


def write_quality(quality: Quality, folder: Path) -> None:
    """Writes `quality.json`."""
    write_json(folder / QUALITY_FILE, quality.model_dump(mode="json"))


read_labels = partial(read_record, LabelSummary)
read_quality = partial(read_record, Quality)
