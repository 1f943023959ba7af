"""The records of a model's quality on labelled rows: audited ones, and all others apart."""

import datetime as dt
from functools import partial
from pathlib import Path
from typing import Final, Literal

from sashiko.core.files import write_json
from sashiko.core.yaml_models import Frozen, read_record
from sashiko.monitoring.audit import AuditedAccuracy
from sashiko.monitoring.checks import MonitorCheck

LABELS_FILE: Final = "labels.json"
QUALITY_FILE: Final = "quality.json"


class AuditedPeriod(Frozen):
    """The rows that were drawn from a period for a person to label, and the labels so far."""

    start: dt.datetime
    end: dt.datetime
    answers: int  # rows of the period that the rows were drawn from
    drawn: int  # rows
    right: int  # labels that agree with the decision
    wrong: int  # labels that do not
    # `complete` has enough labels to be judged; `open` may still get them; `expired` got too few
    # in time and is left out.
    state: Literal["complete", "open", "expired"]
    # When it was complete or expired; None while it is open.
    closed: dt.datetime | None


class LabelSummary(Frozen):
    """The labels of one version's answers."""

    version: int
    periods: tuple[AuditedPeriod, ...]  # by time; they do not overlap
    ordinary_right: int  # labels of rows that were not drawn, of the window, that agree
    ordinary_wrong: int  # those that do not
    waiting: int  # rows of the window without a label
    known: int  # labels of all of this version's answers, drawn or not, whenever they were given
    duplicated: int  # labels of answered rows that differ from an earlier one, which counts
    # Labels of drawn rows that came after their period was complete or expired, which are left out.
    late: int
    unknown: int  # keys with a label that no version ever answered


class Quality(Frozen):
    """A version's accuracy since its deploy, by audited labels; and by the ordinary ones."""

    check: MonitorCheck  # the audit's, valid at every look
    periods: tuple[AuditedPeriod, ...]
    latest: AuditedAccuracy | None  # of the last complete period; None before the first one
    since_deploy: AuditedAccuracy  # of all complete periods
    ordinary_rows: int  # labels of other rows of the window
    ordinary_accuracy: float | None  # on those; never judged. None of fewer than 10 rows
    labels: LabelSummary


def write_labels(summary: LabelSummary, folder: Path) -> None:
    """Writes `labels.json`."""
    write_json(folder / LABELS_FILE, summary.model_dump(mode="json"))


def write_quality(quality: Quality, folder: Path) -> None:
    """Writes `quality.json`."""
    write_json(folder / QUALITY_FILE, quality.model_dump(mode="json"))


read_labels = partial(read_record, LabelSummary)
read_quality = partial(read_record, Quality)
