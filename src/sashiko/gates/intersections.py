"""What is told of intersections wherever a few lines must do: the worst off first."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from sashiko.gates.estimates import BiasEstimate
from sashiko.metrics.bias import METRICS
from sashiko.metrics.bias_table import Stage

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
