"""Bias estimates: the lines of JudgeBias's `intervals.json`, written and read here only."""

from collections.abc import Sequence
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from sashiko.errors import InputError
from sashiko.files import read_json, write_json
from sashiko.metrics.bias_table import Stage
from sashiko.yaml_models import Frozen

INTERVALS_FILE = "intervals.json"
# The two `analysis.json` that the estimates are taken from, kept beside them.
PRE_ANALYSIS_FILE = "pre-training-analysis.json"
POST_ANALYSIS_FILE = "post-training-analysis.json"


class BiasEstimate(Frozen):
    """A bias metric of one group against everyone else; a line of `intervals.json`.

    Attributes:
        stage: bias of the labels or of the predictions.
        metric: its abbreviation, such as `DI`.
        facet: the sensitive column.
        group: the disadvantaged group's values, joined by commas.
        value: the number in `analysis.json`; None where it is undefined.
        low: lower end of its 95 % interval; None where it has none: where the metric is undefined,
            is so in more than 1 % of the resamples, or is not of counts.
        high: upper end of the interval.
        error: why the metric is undefined; empty where it is not.
        n_disadvantaged: rows of the group.
        n_advantaged: all other rows.
    """

    stage: Stage
    metric: str
    facet: str
    group: str
    value: float | None
    low: float | None = None
    high: float | None = None
    error: str = ""
    n_disadvantaged: int
    n_advantaged: int


def write_estimates(estimates: Sequence[BiasEstimate], folder: Path) -> None:
    """Writes `intervals.json` into `folder`."""
    rows = [estimate.model_dump(mode="json") for estimate in estimates]
    write_json(folder / INTERVALS_FILE, rows)


def read_estimates(path: Path) -> tuple[BiasEstimate, ...]:
    """Reads an `intervals.json`.

    Raises:
        InputError: if it is missing, or not a list of bias estimates.
    """
    try:
        return TypeAdapter(tuple[BiasEstimate, ...]).validate_python(read_json(path))
    except ValidationError as error:
        problem = error.errors()[0]["msg"]
        raise InputError(f"{path.name} is not what JudgeBias writes: {problem}") from error
