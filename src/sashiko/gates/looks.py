"""Over how many looks an interval must hold at once (docs/decisions/0016)."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from sashiko.gates.estimates import Subgroup
from sashiko.metrics.bias_table import Stage
from sashiko.recipe_bias import BiasGate, BiasSection


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
