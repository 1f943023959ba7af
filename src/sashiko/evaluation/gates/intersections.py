"""Intersections of facets: the worst off first, and over how many looks an interval must hold.

The latter is docs/decisions/0016.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from sashiko.evaluation.gates.estimates import BiasEstimate, Subgroup
from sashiko.evaluation.metrics.bias import METRICS
from sashiko.evaluation.metrics.bias_table import Stage
from sashiko.settings.bias import BiasGate, BiasSection

# What is labelled, what is predicted and what is found; all others stand in `intervals.json`.
TOLD: Mapping[Stage, tuple[str, ...]] = MappingProxyType(
    {"pre_training": ("DPL",), "post_training": ("DI", "RD")}
)


def worst_first(estimates: Sequence[BiasEstimate], metric: str) -> list[BiasEstimate]:
    """Returns the combinations of groups by how much worse off they are than everyone else.

    Args:
        estimates: of all metrics, facets and intersections.
        metric: by which they are ordered.

    Returns:
        Those that can be compared; then those without an interval, which have too few rows or are
        undefined.
    """
    found = [one for one in estimates if one.is_intersection and one.metric == metric]
    sign = 1 if METRICS[metric].worse == "below" else -1
    return sorted(found, key=lambda one: (not comparable(one), sign * (one.value or 0.0)))


def comparable(estimate: BiasEstimate) -> bool:
    """Says whether a combination can be held against others: it has a number and its interval."""
    return estimate.value is not None and estimate.low is not None


def looks_told(estimates: Sequence[BiasEstimate]) -> str:
    """Says over how many looks the intervals hold at once: a number, or several."""
    return " or ".join(str(looks) for looks in sorted({one.looks for one in estimates}))


@dataclass(frozen=True)
class Looks:
    """The families of intervals that hold at once.

    Attributes:
        section: the recipe's gates.
        bound: how many comparisons are judged by the interval's bound: they hold together.
        intersections: stage -> how many combinations of groups have enough rows: of each metric
            their intervals hold together, since the worst of them is picked.
    """

    section: BiasSection
    bound: int
    intersections: Mapping[Stage, int]

    def over(self, stage: Stage, metric: str, subgroup: Subgroup) -> int:
        """Returns over how many looks an estimate's interval must hold; 1: over itself alone."""
        if stage == "post_training" and _by_bound(self.section, metric, subgroup):
            return self.bound
        return max(1, self.intersections[stage]) if subgroup.is_intersection else 1


def judges(gate: BiasGate, metric: str, subgroup: Subgroup) -> bool:
    """Says whether a gate judges a metric of a group: one that bias may harm, of its facets."""
    return (
        gate.metric == metric
        and set(gate.facets) == set(subgroup.facets)
        and subgroup.disadvantaged
    )


def bound_looks(section: BiasSection, subgroups: Collection[Subgroup]) -> int:
    """Counts the comparisons that are judged by their interval's bound.

    Args:
        section: the recipe's gates.
        subgroups: of all facets and intersections of the predictions.
    """
    metrics = {gate.metric for gate in section.gates}
    return sum(_by_bound(section, metric, one) for metric in metrics for one in subgroups)


def _by_bound(section: BiasSection, metric: str, subgroup: Subgroup) -> bool:
    return any(
        gate.judged_by == "bound" and judges(gate, metric, subgroup) for gate in section.gates
    )
