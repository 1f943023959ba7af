"""Intersections of facets: their order, and the simultaneous intervals (docs/decisions/0016)."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from sashiko.bias.gates.estimates import BiasEstimate, Subgroup
from sashiko.bias.metrics.bias_table import Stage
from sashiko.bias.metrics.clarify_metrics import METRICS
from sashiko.settings.recipe_bias import BiasGate, BiasSection

# The metrics of summaries; all others are only in `intervals.json`.
REPORTED_METRICS: Mapping[Stage, tuple[str, ...]] = MappingProxyType(
    {"pre_training": ("DPL",), "post_training": ("DI", "RD")}
)


def sort_worst_first(estimates: Sequence[BiasEstimate], metric: str) -> list[BiasEstimate]:
    """Sorts the combinations of groups by a metric, the most disadvantaged first.

    Returns:
        The combinations with an interval; then those without, which have too few rows or are
        undefined.
    """
    intersections = [
        estimate for estimate in estimates if estimate.is_intersection and estimate.metric == metric
    ]
    sign = 1 if METRICS[metric].worse == "below" else -1
    return sorted(
        intersections,
        key=lambda estimate: (not comparable(estimate), sign * (estimate.value or 0.0)),
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
        if stage == "post_training" and _by_bound(self.section, metric, subgroup):
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
    metrics = {gate.metric for gate in section.gates}
    return sum(_by_bound(section, metric, subgroup) for metric in metrics for subgroup in subgroups)


def _by_bound(section: BiasSection, metric: str, subgroup: Subgroup) -> bool:
    return any(
        gate.judged_by == "bound" and gate_applies(gate, metric, subgroup) for gate in section.gates
    )
