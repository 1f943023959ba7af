"""Bias metrics on one scale: how much worse off a group is than everyone else."""

from collections.abc import Sequence

from sashiko.gates.estimates import BiasEstimate
from sashiko.metrics.bias import METRICS

# Differences of two shares of rows, so that their sizes can be compared with one another.
RATES = ("DPPL", "RD", "SD", "DAR", "DRR", "AD", "CDDPL")
# Of the same two shares: where one is gated, the other is no further finding.
_TWINS = {"DI": "DPPL", "DPPL": "DI"}


def disparity(estimate: BiasEstimate, value: float) -> float:
    """Returns a metric's distance from its neutral value, above 0 where the group is worse off."""
    metric = METRICS[estimate.metric]
    apart = value - metric.neutral
    return -apart if metric.worse == "below" else apart


def largest_rates(
    estimates: Sequence[BiasEstimate], *, gated: Sequence[str]
) -> list[tuple[float, BiasEstimate]]:
    """Orders the differences of rates that no gate judged by size, whoever is worse off.

    Args:
        estimates: of one group's predictions.
        gated: the metrics of this group that a gate judged.

    Returns:
        Each metric's value and estimate, the largest difference first; undefined ones are left out.
    """
    settled = {*gated, *(_TWINS[metric] for metric in gated if metric in _TWINS)}
    others = [
        (one.value, one)
        for one in estimates
        if one.metric in RATES and one.metric not in settled and one.value is not None
    ]
    return sorted(others, key=lambda pair: -abs(pair[0]))
