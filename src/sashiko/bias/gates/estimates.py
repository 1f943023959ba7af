"""Bias estimates, the lines of JudgeBias's `intervals.json`: schema, writer and reader."""

from collections.abc import Sequence
from pathlib import Path

from pydantic import Field, TypeAdapter, ValidationError

from sashiko.base.files import read_json, write_json
from sashiko.base.yaml_models import Frozen
from sashiko.bias.metrics.bias_table import Stage
from sashiko.errors import InputError

INTERVALS_FILE = "intervals.json"
# Copies of the two `analysis.json` from which the estimates are taken.
PRE_ANALYSIS_FILE = "pre-training-analysis.json"
POST_ANALYSIS_FILE = "post-training-analysis.json"


class Subgroup(Frozen):
    """A group that is compared with all other rows: of one facet, or of an intersection."""

    facet: str | tuple[str, ...]  # the sensitive column, or several
    # The group's values, joined by commas; for an intersection one such text per facet.
    group: str | tuple[str, ...]
    # Whether the contract calls it disadvantaged; for an intersection, whether one of its groups
    # is. Serialised only if false.
    disadvantaged: bool = Field(True, exclude_if=bool)

    @property
    def facets(self) -> tuple[str, ...]:
        """The sensitive columns: one, or those of an intersection."""
        return (self.facet,) if isinstance(self.facet, str) else self.facet

    @property
    def groups(self) -> tuple[str, ...]:
        """The values, one per facet."""
        return (self.group,) if isinstance(self.group, str) else self.group

    @property
    def is_intersection(self) -> bool:
        """Whether it combines several facets."""
        return len(self.facets) > 1

    @property
    def subgroup(self) -> str:
        """Its name: `gender=female`, or `gender=female & age_band=60+`."""
        pairs = zip(self.facets, self.groups, strict=True)
        return " & ".join(f"{facet}={group}" for facet, group in pairs)


class BiasEstimate(Subgroup):
    """A bias metric of one group against all other rows; a line of `intervals.json`."""

    stage: Stage  # bias of the labels or of the predictions
    metric: str  # its abbreviation, such as `DI`
    # The number in `analysis.json`; for an intersection, which Clarify does not support, computed
    # here; None if undefined.
    value: float | None
    # Lower end of its 95 % interval; None if the metric is undefined, is undefined in more than 1 %
    # of the resamples, is not based on counts, or if either side has fewer rows than the recipe's
    # `bias.minimum_group_size`.
    low: float | None = None
    high: float | None = None  # upper end of the interval
    # The number of intervals, including this one, that hold simultaneously with 95 %. Serialised
    # only if greater than 1.
    looks: int = Field(1, ge=1, exclude_if=lambda looks: looks == 1)
    error: str = ""  # why the metric is undefined; else empty
    n_disadvantaged: int  # rows of the group
    n_advantaged: int  # all other rows


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
        raise InputError(f"{path.name} is not a list of bias estimates: {problem}") from error
