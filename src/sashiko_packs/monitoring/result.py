"""`monitor.json`: the outcome of a window, with what it was judged by. It holds aggregates only.

No text, key or facet of a row is in it, and no count from 1 to 9 of rows that have a value or a
group in common, since it could stand for a person: the records hide it, whoever makes them. Other
counts are shown as they are, since nobody's value follows from them: lines and rows that the
capture counts as problems, rows that broke a rule of the contract, labels that agree with the
decision or do not, and decisions whose facets are unknown.
"""

import datetime as dt
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, ClassVar, Final

from pydantic import AfterValidator, model_validator

from sashiko.base.yaml_models import Frozen, StepRecord
from sashiko.errors import InputError
from sashiko.evaluation.reference import SMALLEST_COUNT
from sashiko_packs.monitoring.audited import AuditedMeasure, Quality
from sashiko_packs.monitoring.capture.record import CaptureSummary
from sashiko_packs.monitoring.checks import Measurement, MonitorCheck, WindowOutcome

# Names of measurements; a column's is `drift of <column>`, which has no blank.
CLASSES_DRIFT: Final = "drift of the predicted classes"  # of more than two
SCORES_DRIFT: Final = "drift of the scores"
OUTCOMES_DRIFT: Final = "drift of the predicted outcomes"  # of a number, at its bound
VALUES_DRIFT: Final = "drift of the predicted values"  # of a number
TEXTS_DRIFT: Final = "drift of the texts"
UNREAD_TEXTS: Final = "texts of damaged letters or unknown words"


def hide_small_counts(counts: Sequence[int | None]) -> tuple[int | None, ...]:
    """Hides counts from 1 to 9, and others with them so that the total does not give them away.

    At least two cells are then hidden, of at least 10 rows together, the smallest ones. It is the
    complementary suppression of the Federal Committee on Statistical Methodology, Statistical
    Policy Working Paper 22, Report on statistical disclosure limitation methodology (2005). Of
    fewer than 10 rows in all every cell is hidden.

    Returns:
        The same, with None for each cell that is hidden.
    """
    shown = list(counts)
    hidden = shown.count(None)
    total = sum(count or 0 for count in counts)
    if not hidden and 0 < total < SMALLEST_COUNT:
        return (None,) * len(shown)
    rows = SMALLEST_COUNT if hidden else 0
    filled = [(count, index) for index, count in enumerate(counts) if count]
    for count, index in sorted(filled):
        is_alone = hidden == 1 or (hidden and rows < SMALLEST_COUNT)
        if count >= SMALLEST_COUNT and not is_alone:
            break
        shown[index], hidden, rows = None, hidden + 1, rows + count
    return tuple(shown)


Cells = Annotated[tuple[int | None, ...], AfterValidator(hide_small_counts)]


class Distribution(Frozen):
    """A column's, or the scores', rows by cell: of the reference and of the window."""

    # The column's, or `score`; of more than two classes also of outputs by class, and of a number
    # `predicted outcome` and `predicted value`.
    name: str
    cells: tuple[str, ...]  # a name for each, such as a value, `0.2 to 0.4` or `other`
    reference: Cells  # rows by cell; None for a hidden one
    window: Cells  # the same


class Drift(StepRecord):
    """What Drift measured."""

    FILE: ClassVar[str] = "drift.json"

    # Of columns, then of more than two predicted classes or of outcomes, of scores or predicted
    # values, and of texts.
    measurements: tuple[Measurement, ...]
    distributions: tuple[Distribution, ...]  # of columns, then of scores


class Disparity(Frozen):
    """Disparate impact of a group, named as in the contract."""

    facet: str
    group: str
    reference: float | None  # of the held-out rows; None if undefined or of too few rows
    window: float | None  # of the window; likewise
    low: float | None  # lower end of its 95 % interval
    high: float | None  # upper end


class AuditedGroup(Frozen):
    """The audited measures of a facet group's labelled rows, each row counted once."""

    facet: str
    group: str  # a value of the facet, or `not` one: all other rows
    measures: tuple[AuditedMeasure, ...]


class MonitorBias(StepRecord):
    """What MonitorBias measured."""

    FILE: ClassVar[str] = "measurements.json"

    measurements: tuple[Measurement, ...]
    disparities: tuple[Disparity, ...]
    rows: int  # decisions of the window all of whose facets are known
    without_facets: int  # those that lack one; they count for the facets that they have
    audited: tuple[AuditedGroup, ...] = ()  # since the deploy; empty of too few labelled rows

    @model_validator(mode="after")
    def _check_groups(self) -> "MonitorBias":
        if any(0 < item.rows < SMALLEST_COUNT for item in self.measurements):
            raise ValueError(f"the rows of a group of fewer than {SMALLEST_COUNT} must be 0")
        return self


class Inputs(StepRecord):
    """What InputQuality measured."""

    FILE: ClassVar[str] = "inputs.json"

    measurements: tuple[Measurement, ...]  # one for each rule of a captured column


class MonitorResult(StepRecord):
    """The outcome of a window."""

    FILE: ClassVar[str] = "monitor.json"

    group: str  # the model package group
    version: int  # that answered
    recipe: str  # its name
    start: dt.datetime  # of the window
    end: dt.datetime  # of the window, not part of it
    outcome: WindowOutcome
    summary: str  # one sentence
    alarms: tuple[str, ...]  # a line for each check in alarm, with its size
    checks: tuple[MonitorCheck, ...]  # capture, inputs, drift, bias, then the audit
    capture: CaptureSummary
    distributions: tuple[Distribution, ...]
    disparities: tuple[Disparity, ...] | None  # None if the recipe does not judge bias
    without_facets: int | None  # decisions whose facets are unknown; likewise
    audited_groups: tuple[AuditedGroup, ...] = ()
    quality: Quality
    reference_accuracy: float  # of the held-out rows
    reference_sha256: str  # of `reference.json`


def read_history(folder: Path) -> tuple[MonitorResult, ...]:
    """Reads the outcomes of all windows below a folder, by their ends.

    Windows that another version of this code has written in another form are left out, as are
    damaged ones; stderr says how many.
    """
    results, others = [], []
    for path in sorted(folder.rglob(MonitorResult.FILE)):
        try:
            results.append(MonitorResult.read(path.parent))
        except InputError:
            others.append(str(path))
    return sort_history(results, others=others)


def sort_history(
    results: Sequence[MonitorResult], *, others: Sequence[str]
) -> tuple[MonitorResult, ...]:
    """Sorts outcomes by their ends, and says which others could not be read."""
    if others:
        print(
            f"left out {len(others):,} windows that another version of sashiko has written, or "
            f"that are damaged, such as {others[0]}",
            file=sys.stderr,
        )
    return tuple(sorted(results, key=lambda result: (result.end, result.version)))
