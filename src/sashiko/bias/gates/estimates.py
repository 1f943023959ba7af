"""Bias estimates, the lines of JudgeBias's `intervals.json`: schema, writer and reader."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from pydantic import Field, TypeAdapter, ValidationError

from sashiko.base.files import read_json, write_json
from sashiko.base.yaml_models import Frozen
from sashiko.bias.metrics.bias_table import METRICS, Stage
from sashiko.errors import InputError
from sashiko.settings.recipe_bias import BiasGate, BiasSection

INTERVALS_FILE = "intervals.json"
# Of more than two classes: estimates in which each class in turn is the positive label.
CLASSES_FILE = "classes.json"
# Copies of the two `analysis.json` from which the estimates are taken.
PRE_ANALYSIS_FILE = "pre-training-analysis.json"
POST_ANALYSIS_FILE = "post-training-analysis.json"
# The metrics of summaries; all others are only in `intervals.json`.
REPORTED_METRICS: Mapping[Stage, tuple[str, ...]] = MappingProxyType(
    {"pre_training": ("DPL",), "post_training": ("DI", "RD")}
)


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
    # Of `classes.json`: the class that is the positive label, against all others. Serialised only
    # there; elsewhere the favourable classes together are the positive label.
    outcome: str = Field("", exclude_if=lambda outcome: not outcome)
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


def write_estimates(
    estimates: Sequence[BiasEstimate], folder: Path, *, file: str = INTERVALS_FILE
) -> None:
    """Writes `intervals.json`, or `classes.json`, into `folder`."""
    rows = [estimate.model_dump(mode="json") for estimate in estimates]
    write_json(folder / file, rows)


def read_estimates(path: Path) -> tuple[BiasEstimate, ...]:
    """Reads an `intervals.json` or `classes.json`.

    Raises:
        InputError: if it is missing, or not a list of bias estimates.
    """
    try:
        return TypeAdapter(tuple[BiasEstimate, ...]).validate_python(read_json(path))
    except ValidationError as error:
        problem = error.errors()[0]["msg"]
        raise InputError(f"{path.name} is not a list of bias estimates: {problem}") from error


def sort_worst_first(estimates: Sequence[BiasEstimate], metric: str) -> list[BiasEstimate]:
    """Sorts the combinations of groups by a metric, the most disadvantaged first.

    Returns:
        The combinations with an interval; then those without, which have too few rows or are
        undefined.
    """
    intersections = [item for item in estimates if item.is_intersection and item.metric == metric]
    sign = 1 if METRICS[metric].worse == "below" else -1
    return sorted(
        intersections, key=lambda item: (not comparable(item), sign * (item.value or 0.0))
    )


def comparable(estimate: BiasEstimate) -> bool:
    """Returns whether an estimate has a value and an interval."""
    return estimate.value is not None and estimate.low is not None


def looks_text(estimates: Sequence[BiasEstimate]) -> str:
    """Returns the numbers of simultaneous looks of the estimates, as text."""
    return " or ".join(str(looks) for looks in sorted({estimate.looks for estimate in estimates}))


@dataclass(frozen=True)
class SimultaneousIntervals:
    """The families of intervals that hold simultaneously."""

    section: BiasSection  # the recipe's gates
    bound: int  # the number of comparisons that are judged by the interval's bound: one family
    # Stage -> the number of combinations of groups with enough rows: a family for each metric,
    # since reports select the worst of them.
    intersections: Mapping[Stage, int]

    def over(self, stage: Stage, metric: str, subgroup: Subgroup) -> int:
        """Returns the size of the family of an estimate's interval."""
        if any(
            gate.judged_by == "bound" and not gate.change_since
            for gate in self.section.gates
            if gate_applies(gate, metric, subgroup)
        ):
            return self.bound
        return max(1, self.intersections[stage]) if subgroup.is_intersection else 1


def gate_applies(gate: BiasGate, metric: str, subgroup: Subgroup) -> bool:
    """Returns whether a gate judges a metric of a group, a disadvantaged one of its facets."""
    return (
        gate.metric == metric
        and set(gate.facets) == set(subgroup.facets)
        and subgroup.disadvantaged
    )


def count_bound_comparisons(section: BiasSection, subgroups: Collection[Subgroup]) -> int:
    """Counts the comparisons that gates judge by the interval's bound."""
    comparisons = {
        (gate.metric, gate.change_since, subgroup.subgroup)
        for gate in section.gates
        for subgroup in subgroups
        if gate.judged_by == "bound" and gate_applies(gate, gate.metric, subgroup)
    }
    return len(comparisons)
