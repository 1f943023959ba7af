"""Bias estimates: the lines of JudgeBias's `intervals.json`, written and read here only."""

from collections.abc import Sequence
from pathlib import Path

from pydantic import Field, TypeAdapter, ValidationError

from sashiko.core.files import read_json, write_json
from sashiko.core.yaml_models import Frozen
from sashiko.errors import InputError
from sashiko.evaluation.metrics.bias_table import Stage

INTERVALS_FILE = "intervals.json"
# The two `analysis.json` that the estimates are taken from, kept beside them.
PRE_ANALYSIS_FILE = "pre-training-analysis.json"
POST_ANALYSIS_FILE = "post-training-analysis.json"


class Subgroup(Frozen):
    """A group that is held against everyone else: of one facet, or of an intersection of several.

    Attributes:
        facet: the sensitive column, or several.
        group: the group's values, joined by commas; for an intersection one such text a facet.
        disadvantaged: whether the contract says that bias may harm it; of an intersection, whether
            that is said of one of its groups. Written out only where it is not.
    """

    facet: str | tuple[str, ...]
    group: str | tuple[str, ...]
    disadvantaged: bool = Field(True, exclude_if=bool)

    @property
    def facets(self) -> tuple[str, ...]:
        """The sensitive columns: one, or those of an intersection."""
        return (self.facet,) if isinstance(self.facet, str) else self.facet

    @property
    def groups(self) -> tuple[str, ...]:
        """The values, as many as there are facets."""
        return (self.group,) if isinstance(self.group, str) else self.group

    @property
    def is_intersection(self) -> bool:
        """Whether it is of several facets."""
        return len(self.facets) > 1

    @property
    def subgroup(self) -> str:
        """Its name: `gender=female`, or `gender=female & age_band=60+`."""
        pairs = zip(self.facets, self.groups, strict=True)
        return " & ".join(f"{facet}={group}" for facet, group in pairs)


class BiasEstimate(Subgroup):
    """A bias metric of one group against everyone else; a line of `intervals.json`.

    Attributes:
        stage: bias of the labels or of the predictions.
        metric: its abbreviation, such as `DI`.
        value: the number in `analysis.json`, or of an intersection, which Clarify does not know,
            our own; None where it is undefined.
        low: lower end of its 95 % interval; None where it has none: where the metric is undefined,
            is so in more than 1 % of the resamples, is not of counts, or where the group or
            everyone else has fewer rows than the recipe's `bias.minimum_group_size`.
        high: upper end of the interval.
        looks: over how many intervals the 95 % hold at once, this one among them. Written out only
            where they are several.
        error: why the metric is undefined; empty where it is not.
        n_disadvantaged: rows of the group.
        n_advantaged: all other rows.
    """

    stage: Stage
    metric: str
    value: float | None
    low: float | None = None
    high: float | None = None
    looks: int = Field(1, ge=1, exclude_if=lambda looks: looks == 1)
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
