"""`monitor.json`: the outcome of a window, with what it was judged by. It holds aggregates only.

No text, key or facet of a row is in it, and no count from 1 to 9: such a cell is None.
"""

import datetime as dt
from functools import partial
from pathlib import Path
from typing import Final

from sashiko.core.files import write_json
from sashiko.core.yaml_models import Frozen, read_record
from sashiko.monitoring.capture.record import CaptureSummary
from sashiko.monitoring.checks import Measurement, MonitorCheck, Outcome
from sashiko.monitoring.label_free import LabelFreeAccuracy
from sashiko.monitoring.quality import Quality

RESULT_FILE: Final = "monitor.json"
DRIFT_FILE: Final = "drift.json"
MEASUREMENTS_FILE: Final = "measurements.json"
CHECKS_FILE: Final = "checks.json"
SMALLEST_COUNT: Final = 10  # a smaller count could stand for a person


class Distribution(Frozen):
    """A column's, or the scores', rows by cell: of the reference and of the window."""

    name: str  # the column's, or `score`
    cells: tuple[str, ...]  # a name for each, such as a value, `0.2 to 0.4` or `other`
    reference: tuple[int | None, ...]  # rows by cell; None from 1 to 9
    window: tuple[int | None, ...]  # the same


class Drift(Frozen):
    """What Drift measured."""

    measurements: tuple[Measurement, ...]  # of columns, scores and texts
    distributions: tuple[Distribution, ...]  # of columns and scores
    scores: tuple[int, ...]  # rows of the window by the reference's cells of the scores


class Disparity(Frozen):
    """Disparate impact of a group, named as in the contract."""

    facet: str
    group: str
    reference: float | None  # of the held-out rows; None if undefined or of too few rows
    window: float | None  # of the window; likewise
    low: float | None  # lower end of its 95 % interval
    high: float | None  # upper end


class MonitorBias(Frozen):
    """What MonitorBias measured."""

    measurements: tuple[Measurement, ...]
    disparities: tuple[Disparity, ...]
    rows: int  # decisions of the window whose facets are known
    without_facets: int  # those whose facets are not


class Checks(Frozen):
    """Checks that are judged by themselves, such as InputQuality's."""

    checks: tuple[MonitorCheck, ...]


class MonitorResult(Frozen):
    """The outcome of a window."""

    group: str  # the model package group
    version: int  # that answered
    recipe: str  # its name
    start: dt.datetime  # of the window
    end: dt.datetime  # of the window, not part of it
    outcome: Outcome
    summary: str  # one sentence
    checks: tuple[MonitorCheck, ...]  # inputs, drift, bias, then the audit
    capture: CaptureSummary
    distributions: tuple[Distribution, ...]
    disparities: tuple[Disparity, ...] | None  # None if the recipe does not judge bias
    without_facets: int | None  # decisions whose facets are unknown; likewise
    quality: Quality
    label_free: LabelFreeAccuracy
    reference_accuracy: float  # of the held-out rows
    reference_sha256: str  # of `reference.json`


def write_result(result: MonitorResult, folder: Path) -> None:
    """Writes `monitor.json`."""
    write_json(folder / RESULT_FILE, result.model_dump(mode="json"))


def write_drift(drift: Drift, folder: Path) -> None:
    """Writes `drift.json`."""
    write_json(folder / DRIFT_FILE, drift.model_dump(mode="json"))


def write_bias(bias: MonitorBias, folder: Path) -> None:
    """Writes `measurements.json`."""
    write_json(folder / MEASUREMENTS_FILE, bias.model_dump(mode="json"))


def write_checks(checks: Checks, folder: Path) -> None:
    """Writes `checks.json`."""
    write_json(folder / CHECKS_FILE, checks.model_dump(mode="json"))


read_result = partial(read_record, MonitorResult)
read_drift = partial(read_record, Drift)
read_bias = partial(read_record, MonitorBias)
read_checks = partial(read_record, Checks)
